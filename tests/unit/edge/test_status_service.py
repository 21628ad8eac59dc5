"""StatusService turns messages into questions and answers into messages."""

from contextlib import aclosing
from typing import Any

import pytest

from broker.adapters.seal import ClosedSealer
from broker.core.words import Family
from broker.edge.grpc.auth import enter
from broker.edge.grpc.errors import RoleMissingError
from broker.services.errors import InvalidFieldError, TenantForbiddenError
from broker.services.principal import LOCAL, Principal, Role
from keybroker.v1 import denial_pb2, key_pb2, lease_pb2, outcome_pb2, status_pb2, verdict_pb2
from tests.unit.services.status_given import Desk, a_desk, a_key, on_model, whole

NO_CONTEXT: Any = None
ACME_ONLY = Principal("chat", frozenset({Role.GATEWAY}), ("acme",), untenanted=False)
OBSERVER = Principal("ann", frozenset({Role.OBSERVER}), (), untenanted=False)
ACQUIRE = lease_pb2.AcquireLeaseRequest(provider="openai", model="gpt-4o", tenant_id="other")


@pytest.fixture
async def desk() -> Desk:
    enter(LOCAL)
    return await a_desk(a_key("k1"), a_key("k2"))


async def explained(
    desk: Desk, request: status_pb2.ExplainAcquireRequest
) -> status_pb2.ExplainAcquireResponse:
    return await desk.servicers.status.ExplainAcquire(request, NO_CONTEXT)


async def test_the_status_tells_states_in_lower_case_and_times_where_there_are_any(
    desk: Desk,
) -> None:
    await desk.fail(whole(a_key("k1")), Family.QUOTA)
    await desk.fail(whole(a_key("k2")), Family.CREDENTIAL)
    desk.clock.advance(60)
    request = status_pb2.GetStatusRequest()
    status = (await desk.servicers.status.GetStatus(request, NO_CONTEXT)).status
    (openai,) = [entry for entry in status.providers if entry.provider == "openai"]
    assert dict(openai.keys_by_state) == {"exhausted": 1, "quarantined": 1}
    assert not openai.HasField("last_success_time")
    assert status.emergency
    assert status.store == status_pb2.StoreStatus(state=status_pb2.STORE_STATE_UP, kind="memory")
    assert status.seal == status_pb2.SealStatus(state=status_pb2.SEAL_STATE_OPEN)
    assert status.replica.name == "here"
    assert status.sources[0].age.seconds == 60
    ends = {circuit.scope.key_id: circuit.HasField("until") for circuit in status.circuits}
    assert ends == {"k1": True, "k2": False}
    assert {circuit.reported_by for circuit in status.circuits} == {"gateway"}


async def test_the_status_tells_how_long_a_source_is_believed(desk: Desk) -> None:
    request = status_pb2.GetStatusRequest()
    (source,) = (await desk.servicers.status.GetStatus(request, NO_CONTEXT)).status.sources
    assert (source.from_copy, source.stale) == (False, False)
    assert source.expire_time.seconds == source.read_time.seconds + 24 * 3600
    desk.clock.advance(24 * 3600)
    (source,) = (await desk.servicers.status.GetStatus(request, NO_CONTEXT)).status.sources
    assert source.stale
    assert source.expire_time.seconds == desk.clock.now()


async def test_the_status_tells_what_keeps_the_keys_and_what_is_wrong_with_it() -> None:
    enter(LOCAL)
    desk = await a_desk(sealer=ClosedSealer("seal.key is missing"), broken="the disk is full")
    request = status_pb2.GetStatusRequest()
    status = (await desk.servicers.status.GetStatus(request, NO_CONTEXT)).status
    assert (status.store.kind, status.store.fault) == ("memory", "the disk is full")
    assert status.store.state == status_pb2.STORE_STATE_DEGRADED
    assert status.seal.state == status_pb2.SEAL_STATE_SEALED
    assert status.seal.fault == "seal.key is missing"


async def test_a_watcher_gets_the_whole_status_at_once(desk: Desk) -> None:
    stream = desk.servicers.status.WatchStatus(status_pb2.WatchStatusRequest(), NO_CONTEXT)
    async with aclosing(stream) as statuses:  # type: ignore[type-var]
        first = await anext(statuses)
    assert len(first.status.providers) == 2


async def test_an_explanation_carries_the_answer_and_every_filter(desk: Desk) -> None:
    await desk.fail(on_model(a_key("k1")), Family.LIMIT, hint_s=30)
    answer = await explained(desk, status_pb2.ExplainAcquireRequest(acquire=ACQUIRE))
    assert answer.would_grant.key_id == "k2"
    assert answer.would_grant.provenance == key_pb2.PROVENANCE_SYSTEM
    (upstream,) = answer.upstreams
    assert [key.key_id for key in upstream.keys] == ["k2", "k1"]
    assert not upstream.HasField("denial")
    filters = [entry.filter for entry in upstream.keys[1].answers]
    assert filters == [number for number in status_pb2.Filter.values() if number]
    circuits = upstream.keys[1].answers[3]
    assert circuits.retry_delay.seconds in range(30, 34)
    assert len(circuits.circuits) == 1


async def test_a_denial_is_explained_as_a_denial(desk: Desk) -> None:
    await desk.administration.disable_upstream("ops", "openai", "", "")
    answer = await explained(desk, status_pb2.ExplainAcquireRequest(acquire=ACQUIRE))
    assert answer.denial.reason == denial_pb2.DENIAL_REASON_ALL_DISABLED
    assert answer.upstreams[0].denial.reason == denial_pb2.DENIAL_REASON_ALL_DISABLED


async def test_a_fault_in_the_request_to_explain_is_told_with_its_path(desk: Desk) -> None:
    for request, field in (
        (status_pb2.ExplainAcquireRequest(), "acquire"),
        (
            status_pb2.ExplainAcquireRequest(acquire=lease_pb2.AcquireLeaseRequest()),
            "acquire.provider",
        ),
    ):
        with pytest.raises(InvalidFieldError) as fault:
            await explained(desk, request)
        assert fault.value.metadata["field"] == field


async def test_a_gateway_asks_for_itself_and_its_tenants_only(desk: Desk) -> None:
    enter(ACME_ONLY)
    with pytest.raises(TenantForbiddenError):
        await explained(desk, status_pb2.ExplainAcquireRequest(acquire=ACQUIRE))
    with pytest.raises(RoleMissingError):
        await explained(
            desk, status_pb2.ExplainAcquireRequest(acquire=ACQUIRE, principal="another")
        )
    with pytest.raises(TenantForbiddenError):
        await desk.servicers.status.ListRunnableModels(
            status_pb2.ListRunnableModelsRequest(), NO_CONTEXT
        )
    mine = lease_pb2.AcquireLeaseRequest(provider="openai", model="gpt-4o", tenant_id="acme")
    request = status_pb2.ExplainAcquireRequest(acquire=mine, principal="chat")
    assert (await explained(desk, request)).HasField("would_grant")


async def test_an_observer_asks_for_any_tenant_in_any_gateways_place(desk: Desk) -> None:
    enter(OBSERVER)
    request = status_pb2.ExplainAcquireRequest(acquire=ACQUIRE, principal="chat")
    assert (await explained(desk, request)).HasField("would_grant")


async def test_runnable_models_come_with_their_number_of_keys(desk: Desk) -> None:
    request = status_pb2.ListRunnableModelsRequest(page_size=1)
    page = await desk.servicers.status.ListRunnableModels(request, NO_CONTEXT)
    assert [(model.model, model.key_count) for model in page.models] == [("gpt-4o", 2)]
    request.page_token = page.next_page_token
    page = await desk.servicers.status.ListRunnableModels(request, NO_CONTEXT)
    assert [model.model for model in page.models] == ["gpt-mini"]
    assert not page.next_page_token


async def test_an_outcome_is_classified_by_dialect_or_provider(desk: Desk) -> None:
    outcome = outcome_pb2.Outcome(http_status=429)
    for request in (
        status_pb2.ClassifyOutcomeRequest(dialect="spoken", outcome=outcome),
        status_pb2.ClassifyOutcomeRequest(provider="openai", outcome=outcome),
    ):
        answer = await desk.servicers.status.ClassifyOutcome(request, NO_CONTEXT)
        assert answer.verdict.kind == verdict_pb2.VERDICT_KIND_RATE_LIMITED
        assert (answer.dialect, answer.rule_file) == ("spoken", "")
        assert answer.explanation


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (status_pb2.ClassifyOutcomeRequest(), "speaker"),
        (status_pb2.ClassifyOutcomeRequest(dialect=""), "dialect"),
        (status_pb2.ClassifyOutcomeRequest(dialect="spoken"), "outcome"),
    ],
)
async def test_what_to_classify_must_be_there(
    desk: Desk, request_: status_pb2.ClassifyOutcomeRequest, field: str
) -> None:
    with pytest.raises(InvalidFieldError) as fault:
        await desk.servicers.status.ClassifyOutcome(request_, NO_CONTEXT)
    assert fault.value.metadata["field"] == field
