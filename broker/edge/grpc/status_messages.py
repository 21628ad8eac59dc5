"""The status, explanations and dry runs as StatusService sends them."""

from typing import Final

from broker.core.denial import Denial
from broker.edge.grpc.lease_messages import read_acquire, write_denial
from broker.edge.grpc.outcome_messages import write_verdict
from broker.edge.grpc.shared_messages import write_circuit, write_disabled_upstream
from broker.edge.grpc.times import duration, timestamp
from broker.edge.grpc.words import PROVENANCES
from broker.services.acquisition import AcquireRequest
from broker.services.classifying import Classified
from broker.services.errors import InvalidFieldError
from broker.services.explain import Explanation, KeyExplanation, UpstreamExplanation, WouldGrant
from broker.services.filters import Filter, FilterAnswer
from broker.services.paging import Page
from broker.services.runnable import RunnableModel
from broker.services.status import (
    BrokerStatus,
    IncidentStatus,
    ProviderStatus,
    SourceStatus,
    UpstreamStatus,
)
from keybroker.v1 import denial_pb2, status_pb2

FILTERS: Final = {name: status_pb2.Filter.Value(f"FILTER_{name.name}") for name in Filter}


def write_status(status: BrokerStatus) -> status_pb2.BrokerStatus:
    """The message of a status."""
    is_up = status.is_store_up
    return status_pb2.BrokerStatus(
        time=timestamp(status.at),
        emergency=status.is_emergency,
        providers=[_provider(provider) for provider in status.providers],
        circuits=[write_circuit(circuit) for circuit in status.circuits],
        circuit_count=status.circuit_count,
        incidents=[_incident(incident) for incident in status.incidents],
        upstreams=[_upstream(upstream) for upstream in status.upstreams],
        disabled_upstreams=[write_disabled_upstream(mark) for mark in status.disabled_upstreams],
        sources=[_source(source, status.at) for source in status.sources],
        store=status_pb2.StoreStatus(
            state=status_pb2.STORE_STATE_UP if is_up else status_pb2.STORE_STATE_DEGRADED,
            pending_facts=status.pending_facts,
            kind=status.store_kind,
            fault=status.store_fault,
        ),
        seal=status_pb2.SealStatus(
            state=status_pb2.SEAL_STATE_SEALED if status.seal_fault else status_pb2.SEAL_STATE_OPEN,
            fault=status.seal_fault,
        ),
        replica=status_pb2.ReplicaStatus(
            name=status.replica.name,
            version=status.replica.version,
            start_time=timestamp(status.replica.started_at),
            lag=duration(status.lag_s),
        ),
        not_ready=status.not_ready,
    )


def read_explained_acquire(message: status_pb2.ExplainAcquireRequest) -> AcquireRequest:
    """The acquire to explain; raises InvalidFieldError."""
    if not message.HasField("acquire"):
        raise InvalidFieldError("acquire", "is required: the request as it would be sent")
    try:
        return read_acquire(message.acquire)
    except InvalidFieldError as error:
        field, problem = error.metadata["field"], error.metadata["problem"]
        raise InvalidFieldError(f"acquire.{field}", problem) from None


def write_explanation(explanation: Explanation) -> status_pb2.ExplainAcquireResponse:
    """The message of an explained acquire."""
    answer = explanation.answer
    return status_pb2.ExplainAcquireResponse(
        would_grant=_would_grant(answer) if isinstance(answer, WouldGrant) else None,
        denial=write_denial(answer) if isinstance(answer, Denial) else None,
        upstreams=[_upstream_explanation(entry) for entry in explanation.upstreams],
    )


def write_classified(classified: Classified) -> status_pb2.ClassifyOutcomeResponse:
    """The message of a verdict and why."""
    return status_pb2.ClassifyOutcomeResponse(
        verdict=write_verdict(classified.verdict),
        dialect=classified.dialect,
        rule_file=classified.rule_file,
        explanation=classified.explanation,
    )


def write_runnable_models(page: Page[RunnableModel]) -> status_pb2.ListRunnableModelsResponse:
    """The message of a page of models."""
    models = [
        status_pb2.RunnableModel(
            provider=item.target.provider,
            model=item.target.model,
            provenance=PROVENANCES[item.provenance],
            key_count=item.key_count,
        )
        for item in page.items
    ]
    return status_pb2.ListRunnableModelsResponse(models=models, next_page_token=page.next_token)


def _provider(status: ProviderStatus) -> status_pb2.ProviderStatus:
    last = status.last_success
    return status_pb2.ProviderStatus(
        provider=status.provider,
        dialect=status.dialect,
        runnable=status.is_runnable,
        keys_by_state={state.value: count for state, count in status.keys_by_state.items()},
        last_success_time=None if last is None else timestamp(last),
    )


def _incident(incident: IncidentStatus) -> status_pb2.Incident:
    return status_pb2.Incident(
        provider=incident.provider,
        provenance=PROVENANCES[incident.provenance],
        since=timestamp(incident.since),
        key_ids=incident.key_ids,
        used_key_count=incident.used,
        message=incident.message,
    )


def _upstream(status: UpstreamStatus) -> status_pb2.UpstreamStatus:
    return status_pb2.UpstreamStatus(
        provider=status.upstream.provider,
        endpoint=status.upstream.endpoint,
        model=status.upstream.model,
        ok_count=status.succeeded,
        failed_count=status.failed,
        uptime=status.uptime,
    )


def _source(status: SourceStatus, now: float) -> status_pb2.SourceStatus:
    read_at, expires_at = status.read_at, status.expires_at
    return status_pb2.SourceStatus(
        source=status.source,
        key_count=status.key_count,
        read_time=None if read_at is None else timestamp(read_at),
        age=None if read_at is None else duration(max(now - read_at, 0.0)),
        faults=status.faults,
        from_copy=status.is_from_copy,
        stale=status.is_stale,
        expire_time=None if expires_at is None else timestamp(expires_at),
    )


def _would_grant(grant: WouldGrant) -> status_pb2.WouldGrant:
    return status_pb2.WouldGrant(
        key_id=grant.key.key_id,
        revision=grant.key.revision,
        provider=grant.upstream.provider,
        model=grant.upstream.model,
        provider_model=grant.provider_model,
        provenance=PROVENANCES[grant.key.provenance],
        trial=grant.is_trial,
        degraded=grant.is_degraded,
    )


def _upstream_explanation(entry: UpstreamExplanation) -> status_pb2.UpstreamExplanation:
    return status_pb2.UpstreamExplanation(
        target=denial_pb2.Target(provider=entry.target.provider, model=entry.target.model),
        policy=entry.policy,
        keys=[_key_explanation(key) for key in entry.keys],
        denial=None if entry.denial is None else write_denial(entry.denial),
    )


def _key_explanation(entry: KeyExplanation) -> status_pb2.KeyExplanation:
    return status_pb2.KeyExplanation(
        key_id=entry.key.key_id,
        revision=entry.key.revision,
        provenance=PROVENANCES[entry.key.provenance],
        leasable=entry.is_leasable,
        answers=[_filter_answer(answer) for answer in entry.answers],
    )


def _filter_answer(answer: FilterAnswer) -> status_pb2.FilterAnswer:
    wait_s = answer.retry_delay_s
    return status_pb2.FilterAnswer(
        filter=FILTERS[answer.filter],
        admits=answer.admits,
        detail=answer.detail,
        retry_delay=None if wait_s is None else duration(wait_s),
        circuits=[write_circuit(circuit) for circuit in answer.circuits],
    )
