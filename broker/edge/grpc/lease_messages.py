"""Leases, denials and news of them between protobuf and the services."""

from collections.abc import Iterable
from functools import lru_cache

from broker.core.denial import Denial, Target
from broker.core.scope import Upstream
from broker.core.words import Provenance
from broker.edge.grpc.fields import (
    check_count,
    check_length,
    check_name,
    check_names,
    positive_seconds,
    require_lease_id,
    require_name,
)
from broker.edge.grpc.outcome_messages import read_outcome, write_advice, write_verdict
from broker.edge.grpc.times import duration, set_timestamp, timestamp
from broker.edge.grpc.words import DENIAL_ACTIONS, DENIAL_REASONS, LEASE_STATES, PROVENANCES
from broker.services.acquisition import DEFAULT_TTL_S, AcquireRequest, Grant
from broker.services.errors import InvalidFieldError
from broker.services.leasing import Renewed
from broker.services.reports import Answer, NextRequest, Report
from keybroker.v1 import denial_pb2, lease_pb2

MAX_FALLBACKS = 16

MAX_FIXED_PARTS = 4096
"""Pairs of key and model of which the fixed part of a lease is kept ready."""


def read_acquire(message: lease_pb2.AcquireLeaseRequest) -> AcquireRequest:
    """What a gateway asks for; raises InvalidFieldError."""
    return AcquireRequest(
        target=Target(
            require_name("provider", message.provider), require_name("model", message.model)
        ),
        tenant=check_name("tenant_id", message.tenant_id),
        fallbacks=_fallbacks("fallbacks", message.fallbacks),
        request_id=check_name("request_id", message.request_id),
        attempt=check_count("attempt", message.attempt, 1),
        excluded=check_names("excluded_key_ids", message.excluded_key_ids),
        affinity_key=check_name("affinity_key", message.affinity_key),
        ttl_s=positive_seconds("ttl", message.ttl) if message.HasField("ttl") else DEFAULT_TTL_S,
        concurrency=check_count("concurrency", message.concurrency, 1),
        estimated_tokens=check_count("estimated_tokens", message.estimated_tokens),
    )


def write_acquired(answer: Grant | Denial) -> lease_pb2.AcquireLeaseResponse:
    """The answer to an acquire."""
    if isinstance(answer, Denial):
        return lease_pb2.AcquireLeaseResponse(denial=write_denial(answer))
    response = lease_pb2.AcquireLeaseResponse()
    write_lease(answer, response.lease)
    return response


def write_lease(grant: Grant, to: lease_pb2.Lease) -> None:
    """Fill in the message of a lease: the one place where a secret leaves the broker."""
    claims, travel = grant.claims, grant.provider.dialect.key_travel
    to.MergeFromString(
        _fixed_part(
            claims.key_id,
            claims.revision,
            claims.upstream,
            grant.provider_model,
            grant.base_url,
            claims.provenance,
            travel.header_name,
            travel.header_prefix,
        )
    )
    to.lease_id = grant.lease_id
    to.api_key.secret.plaintext = grant.key.secret.reveal()
    if travel.extra_headers:
        to.api_key.extra_headers.update(travel.extra_headers)
    set_timestamp(to.grant_time, claims.first_granted_at)
    set_timestamp(to.expire_time, claims.ends_at)
    to.attempt = claims.attempt
    if claims.permits:
        to.trial = True
    if grant.is_degraded:
        to.degraded = True


@lru_cache(maxsize=MAX_FIXED_PARTS)
def _fixed_part(
    key_id: str,
    revision: str,
    upstream: Upstream,
    provider_model: str,
    base_url: str,
    provenance: Provenance,
    header_name: str,
    header_prefix: str,
) -> bytes:
    """What all leases of a key for a model have in common, but for its secret."""
    lease = lease_pb2.Lease(
        key_id=key_id,
        revision=revision,
        provider=upstream.provider,
        model=upstream.model,
        provider_model=provider_model,
        base_url=base_url,
        provenance=PROVENANCES[provenance],
        api_key=lease_pb2.ApiKey(header_name=header_name, header_prefix=header_prefix),
    )
    return lease.SerializeToString()


def write_denial(denial: Denial) -> denial_pb2.Denial:
    """The message of a denial."""
    delay_s = denial.retry_delay_s
    return denial_pb2.Denial(
        reason=DENIAL_REASONS[denial.reason],
        message=denial.message,
        retry_delay=None if delay_s is None else duration(delay_s),
        action=DENIAL_ACTIONS[denial.action],
        alternatives=[
            denial_pb2.Target(provider=target.provider, model=target.model)
            for target in denial.alternatives
        ],
        keys_by_state=denial.keys_by_state,
        help_url=denial.help_url,
    )


def read_renew(message: lease_pb2.RenewLeaseRequest) -> tuple[str, float]:
    """The lease to renew, and for how many seconds; raises InvalidFieldError."""
    return require_lease_id(message.lease_id), _ttl_s("ttl", message)


def write_renewed(renewed: Renewed) -> lease_pb2.RenewLeaseResponse:
    """The answer to a renewal."""
    return lease_pb2.RenewLeaseResponse(
        lease_id=renewed.lease_id,
        expire_time=timestamp(renewed.ends_at),
        lease_state=lease_pb2.LEASE_STATE_LIVE,
    )


def read_report(message: lease_pb2.ReportOutcomeRequest) -> Report:
    """One report; raises InvalidFieldError."""
    lease_id = require_lease_id(message.lease_id)
    if not message.HasField("outcome"):
        raise InvalidFieldError("outcome", "is required")
    return Report(
        lease_id=lease_id,
        outcome=read_outcome(message.outcome),
        keep_lease=message.keep_lease,
        will_retry=message.will_retry,
        can_replay=message.can_replay,
        acquire_next=_next_request(message.acquire_next)
        if message.HasField("acquire_next")
        else None,
    )


def write_answer(answer: Answer) -> lease_pb2.ReportOutcomeResponse:
    """The answer to a report."""
    follow_up = answer.follow_up
    response = lease_pb2.ReportOutcomeResponse(
        verdict=write_verdict(answer.verdict),
        advice=write_advice(answer.advice),
        lease_state=LEASE_STATES[answer.lease_state],
        denial=write_denial(follow_up) if isinstance(follow_up, Denial) else None,
    )
    if isinstance(follow_up, Grant):
        write_lease(follow_up, response.lease)
    return response


def _next_request(message: lease_pb2.AcquireNext) -> NextRequest:
    return NextRequest(
        fallbacks=_fallbacks("acquire_next.fallbacks", message.fallbacks),
        excluded=check_names("acquire_next.excluded_key_ids", message.excluded_key_ids),
        affinity_key=check_name("acquire_next.affinity_key", message.affinity_key),
        ttl_s=_ttl_s("acquire_next.ttl", message),
        concurrency=check_count("acquire_next.concurrency", message.concurrency, 1),
        estimated_tokens=check_count("acquire_next.estimated_tokens", message.estimated_tokens),
    )


def _ttl_s(field: str, message: lease_pb2.RenewLeaseRequest | lease_pb2.AcquireNext) -> float:
    return positive_seconds(field, message.ttl) if message.HasField("ttl") else DEFAULT_TTL_S


def _fallbacks(field: str, messages: Iterable[denial_pb2.Target]) -> tuple[Target, ...]:
    targets = tuple(messages)
    if not targets:
        return ()
    check_length(field, targets, MAX_FALLBACKS)
    return tuple(
        Target(
            require_name(f"{field}[{index}].provider", target.provider),
            require_name(f"{field}[{index}].model", target.model),
        )
        for index, target in enumerate(targets)
    )
