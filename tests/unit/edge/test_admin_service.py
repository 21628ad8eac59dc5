"""AdminService turns messages into commands and their results into messages."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from broker.core.words import Family
from broker.edge.grpc.auth import enter
from broker.edge.grpc.key_messages import write_key
from broker.edge.grpc.shared_messages import read_scope, write_scope
from broker.services.errors import InvalidFieldError, KeyUnknownError
from broker.services.principal import Principal, Role
from keybroker.v1 import admin_pb2, circuit_pb2, key_pb2, scope_pb2
from tests.unit.services.status_given import Desk, a_desk, a_key, on_model, whole

NO_CONTEXT: Any = None
K1 = a_key("k1", account="main", models={"gpt-*": "deployment"}, slots=3, priority=2)


@pytest.fixture
async def desk() -> Desk:
    enter(Principal("ops", frozenset({Role.OPERATOR})))
    return await a_desk(K1, a_key("k2"))


async def test_a_key_is_shown_whole_and_never_with_its_secret(desk: Desk) -> None:
    await desk.fail(on_model(K1), Family.LIMIT)
    request = admin_pb2.GetKeyRequest(key_id="k1")
    key = (await desk.servicers.admin.GetKey(request, NO_CONTEXT)).key
    assert (key.provider, key.revision, key.source) == ("openai", "rev-k1", "fake")
    assert (key.account, key.priority, key.weight) == ("main", 2, 1.0)
    assert key.state == key_pb2.KEY_STATE_HEALTHY
    assert dict(key.models) == {"gpt-*": "deployment"}
    assert key.limits.concurrency == 3
    assert not key.HasField("expire_time")
    assert not key.HasField("disabled")
    assert key.circuits[0].scope == write_scope(on_model(K1))
    assert "sk-k1" not in str(key)


async def test_an_expiry_is_shown(desk: Desk) -> None:
    expiring = a_key("k3", expires_at=datetime(2030, 1, 31, tzinfo=UTC))
    desk.source.keys = (expiring,)
    await desk.upkeep.refresh()
    shown = write_key(await desk.inventory.key("k3"))
    assert shown.expire_time.ToJsonString() == "2030-01-31T00:00:00Z"


async def test_keys_are_listed_by_the_filters_given(desk: Desk) -> None:
    await desk.fail(whole(K1), Family.CREDENTIAL)
    request = admin_pb2.ListKeysRequest(
        provider="openai",
        provenance=key_pb2.PROVENANCE_SYSTEM,
        state=key_pb2.KEY_STATE_QUARANTINED,
    )
    page = await desk.servicers.admin.ListKeys(request, NO_CONTEXT)
    assert [key.key_id for key in page.keys] == ["k1"]
    assert page.next_page_token == ""


async def test_disabling_and_enabling_answer_with_the_key(desk: Desk) -> None:
    disable = admin_pb2.DisableKeyRequest(key_id="k1", reason="leaked")
    key = (await desk.servicers.admin.DisableKey(disable, NO_CONTEXT)).key
    assert key.state == key_pb2.KEY_STATE_DISABLED
    assert (key.disabled.by, key.disabled.reason) == ("ops", "leaked")
    enable = admin_pb2.EnableKeyRequest(key_id="k1")
    key = (await desk.servicers.admin.EnableKey(enable, NO_CONTEXT)).key
    assert key.state == key_pb2.KEY_STATE_HEALTHY


async def test_a_disabled_upstream_is_told_with_who_did_it(desk: Desk) -> None:
    disable = admin_pb2.DisableUpstreamRequest(provider="openai", model="org/gpt", reason="dear")
    upstream = (await desk.servicers.admin.DisableUpstream(disable, NO_CONTEXT)).upstream
    assert (upstream.provider, upstream.model) == ("openai", "org/gpt")
    assert upstream.disabled.by == "ops"
    enable = admin_pb2.EnableUpstreamRequest(provider="openai", model="org/gpt")
    await desk.servicers.admin.EnableUpstream(enable, NO_CONTEXT)
    assert desk.core.marks.disabled_upstreams() == []


async def test_the_scope_of_a_shown_circuit_clears_it(desk: Desk) -> None:
    await desk.fail(whole(K1), Family.QUOTA)
    (shown,) = write_key(await desk.inventory.key("k1")).circuits
    request = admin_pb2.ClearCircuitRequest(scope=shown.scope, family=shown.family)
    answer = await desk.servicers.admin.ClearCircuit(request, NO_CONTEXT)
    assert list(answer.cleared) == [shown]
    assert shown.state == circuit_pb2.CIRCUIT_STATE_OPEN
    assert write_scope(read_scope(shown.scope)) == shown.scope


@pytest.mark.parametrize(
    "target", [{"key_id": "k1"}, {"tenant_id": "acme"}, {"principal": "gateway"}]
)
async def test_leases_are_revoked_until_now(desk: Desk, target: dict[str, str]) -> None:
    request = admin_pb2.RevokeLeasesRequest(**target)
    answer = await desk.servicers.admin.RevokeLeases(request, NO_CONTEXT)
    assert answer.not_before.seconds == int(desk.clock.now())


async def test_probes_stream_their_progress(desk: Desk) -> None:
    request = admin_pb2.ProbeKeysRequest(provider="openai")
    done = [m async for m in desk.servicers.admin.ProbeKeys(request, NO_CONTEXT)]
    assert [message.done_count for message in done] == [1, 2]
    assert {message.total_count for message in done} == {2}
    assert {message.result for message in done} == {key_pb2.PROBE_RESULT_AUTHENTICATED}


async def test_nothing_is_probed_when_one_key_is_unknown(desk: Desk) -> None:
    request = admin_pb2.ProbeKeysRequest(key_ids=["k1", "k9"])
    with pytest.raises(KeyUnknownError):
        _ = [m async for m in desk.servicers.admin.ProbeKeys(request, NO_CONTEXT)]
    assert desk.prober.calls == []


async def test_a_refresh_tells_what_every_source_changed(desk: Desk) -> None:
    desk.source.keys = (a_key("k1", revision="new"), a_key("k3"))
    request = admin_pb2.RefreshKeysRequest()
    (source,) = (await desk.servicers.admin.RefreshKeys(request, NO_CONTEXT)).sources
    assert source.source == "fake"
    assert list(source.added_key_ids) == ["k3"]
    assert list(source.changed_key_ids) == ["k1"]
    assert list(source.removed_key_ids) == ["k2"]
    assert list(source.faults) == []


async def test_events_are_listed_by_kind_and_time(desk: Desk) -> None:
    await desk.administration.disable_key("ops", "k1", "leaked")
    request = admin_pb2.ListEventsRequest(
        provider="openai", kinds=["key_disabled"], since=Timestamp(seconds=1)
    )
    (event,) = (await desk.servicers.admin.ListEvents(request, NO_CONTEXT)).events
    assert (event.key_id, event.principal) == ("k1", "ops")
    assert event.attributes["reason"] == "leaked"
    assert event.event_id
    assert event.time.seconds == int(desk.clock.now())


def clear(**scope: object) -> admin_pb2.ClearCircuitRequest:
    return admin_pb2.ClearCircuitRequest(scope=scope_pb2.Scope(**scope))  # type: ignore[arg-type]


BAD_FIELDS: list[tuple[Message, str]] = [
    (admin_pb2.GetKeyRequest(), "key_id"),
    (admin_pb2.GetKeyRequest(key_id="a\0b"), "key_id"),
    (admin_pb2.DisableKeyRequest(key_id="k1", reason="é" * 513), "reason"),
    (admin_pb2.DisableKeyRequest(key_id="k1", reason="a\nb"), "reason"),
    (admin_pb2.ListKeysRequest(page_size=-1), "page_size"),
    (admin_pb2.ListKeysRequest(state=99), "state"),  # type: ignore[arg-type]
    (admin_pb2.ListEventsRequest(kinds=[""]), "kinds[0]"),
    (admin_pb2.ListEventsRequest(since=Timestamp(nanos=-1)), "since"),
    (admin_pb2.ClearCircuitRequest(), "scope.kind"),
    (clear(kind=99), "scope.kind"),
    (clear(kind=scope_pb2.SCOPE_KIND_KEY), "scope.key_id"),
    (admin_pb2.DisableUpstreamRequest(model="x"), "provider"),
    (admin_pb2.EnableUpstreamRequest(), "provider"),
    (admin_pb2.RevokeLeasesRequest(), "target"),
    (admin_pb2.RevokeLeasesRequest(tenant_id=""), "tenant_id"),
]


@pytest.mark.parametrize("number", range(len(BAD_FIELDS)))
async def test_a_bad_field_is_named(desk: Desk, number: int) -> None:
    request, field = BAD_FIELDS[number]
    call = getattr(desk.servicers.admin, request.DESCRIPTOR.name.removesuffix("Request"))
    with pytest.raises(InvalidFieldError) as fault:
        await call(request, NO_CONTEXT)
    assert fault.value.metadata["field"] == field
