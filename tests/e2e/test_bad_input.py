"""Wrong, hostile and unlucky input over a real server: the right code, and what to do."""

import asyncio
from collections.abc import Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from keybroker.v1 import admin_pb2, denial_pb2, lease_pb2, outcome_pb2, verdict_pb2
from simulator import Fault, Refusal
from tests.e2e.conftest import MODELS, TimedWorld, World
from tests.gateway import duration

GPT = MODELS["openai"]


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo reason of a failed call."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # typed for sync calls only
    assert status is not None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            assert info.domain == "keybroker"
            return info.reason.removeprefix("ERROR_REASON_")
    pytest.fail("no ErrorInfo")


def acquire(**fields: object) -> lease_pb2.AcquireLeaseRequest:
    """A good request, but for `fields`."""
    good: dict[str, object] = {"provider": "openai", "model": GPT}
    return lease_pb2.AcquireLeaseRequest(**(good | fields))  # type: ignore[arg-type]


BAD_ACQUIRES = {
    "no provider": (acquire(provider=""), "INVALID_FIELD"),
    "no model": (acquire(model=""), "INVALID_FIELD"),
    "an unknown provider": (acquire(provider="opnai"), "PROVIDER_UNKNOWN"),
    "an unknown fallback": (
        acquire(fallbacks=[denial_pb2.Target(provider="x", model="y")]),
        "PROVIDER_UNKNOWN",
    ),
    "a NUL in the tenant": (acquire(tenant_id="a\0b"), "INVALID_FIELD"),
    "a newline in the model": (acquire(model="gpt\n4"), "INVALID_FIELD"),
    "a separator of tokens": (acquire(request_id="a\x1fb"), "INVALID_FIELD"),
    "an oversize tenant": (acquire(tenant_id="a" * 257), "INVALID_FIELD"),
    "an oversize request id": (acquire(request_id="a" * 10_000), "INVALID_FIELD"),
    "too many exclusions": (acquire(excluded_key_ids=["k"] * 101), "INVALID_FIELD"),
    "too many fallbacks": (
        acquire(fallbacks=[denial_pb2.Target(provider="openai", model=GPT)] * 17),
        "INVALID_FIELD",
    ),
    "a negative TTL": (acquire(ttl=Duration(seconds=-1)), "INVALID_FIELD"),
    "no TTL at all": (acquire(ttl=Duration()), "INVALID_FIELD"),
    "a negative attempt": (acquire(attempt=-1), "INVALID_FIELD"),
    "a negative concurrency": (acquire(concurrency=-2), "INVALID_FIELD"),
    "negative tokens": (acquire(estimated_tokens=-1), "INVALID_FIELD"),
}


@pytest.mark.parametrize(("request_", "reason"), BAD_ACQUIRES.values(), ids=BAD_ACQUIRES.keys())
async def test_a_bad_acquire_is_told_what_is_wrong(
    world: World, request_: lease_pb2.AcquireLeaseRequest, reason: str
) -> None:
    """The field by name, never its value."""
    await world.add_keys("openai", 1)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await world.gateway.leases.AcquireLease(request_)
    assert reason_of(failed.value) == reason
    assert "aaaa" not in str(failed.value.details())


async def test_a_huge_ttl_is_cut_and_odd_but_printable_names_are_fine(world: World) -> None:
    """Advice is advice; a tenant may be called anything that prints."""
    await world.add_keys("openai", 1)
    request = acquire(ttl=Duration(seconds=10**9), tenant_id="Ünïcode/Δ 'tenant' 🦊")
    lease = (await world.gateway.leases.AcquireLease(request)).lease
    assert lease.expire_time.ToSeconds() - lease.grant_time.ToSeconds() <= 900
    reported = await world.gateway.use(lease)
    assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_OK


async def test_a_provider_without_keys_is_a_denial_and_no_fault(world: World) -> None:
    """What an operator forgot is an answer that says so."""
    answer = await world.gateway.acquire("groq", MODELS["groq"])
    assert answer.denial.reason == denial_pb2.DENIAL_REASON_NO_KEYS
    assert answer.denial.action == denial_pb2.DENIAL_ACTION_FIX_CONFIGURATION
    assert answer.denial.help_url


Mangle = Callable[[str], str]
FORGERIES: dict[str, Mangle] = {
    "never issued": lambda _: "kb1.AAAA",
    "not a token": lambda _: "give me a key",
    "cut": lambda lease_id: lease_id[:-4],
    "changed": lambda lease_id: (
        lease_id[:60] + ("A" if lease_id[60] != "A" else "B") + lease_id[61:]
    ),
    "of odd characters": lambda lease_id: lease_id + "🦊",
}


@pytest.mark.parametrize("mangle", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_report_for_no_lease_of_ours_is_not_found(world: World, mangle: Mangle) -> None:
    """Forged, cut and never issued look the same, and teach nothing."""
    await world.add_keys("openai", 1)
    lease = await world.gateway.lease("openai", GPT)
    lease.lease_id = mangle(lease.lease_id)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await world.gateway.report(lease, world.gateway.outcome(http_status=401))
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(failed.value) == "LEASE_UNKNOWN"
    assert (await world.gateway.acquire("openai", GPT)).HasField("lease")


async def test_reports_without_what_they_need_are_told_so(world: World) -> None:
    """No lease id, no outcome, no outcome id, nothing that happened; and flags that contradict."""
    await world.add_keys("openai", 1)
    lease = await world.gateway.lease("openai", GPT)
    good = world.gateway.outcome(http_status=200)
    nameless = outcome_pb2.Outcome(http_status=200)
    nothing = outcome_pb2.Outcome(outcome_id="x")
    oversize = outcome_pb2.Outcome(outcome_id="x", http_status=400, body=b"x" * (16 * 1024 + 1))
    negative = outcome_pb2.Outcome(outcome_id="x", http_status=200, started_ago=duration(-1.0))
    following = lease_pb2.AcquireNext()
    interim = outcome_pb2.Outcome(outcome_id="x", http_status=200, interim=True)
    make = lease_pb2.ReportOutcomeRequest
    lease_id = lease.lease_id
    for request, reason in (
        (make(outcome=good), "INVALID_FIELD"),
        (make(lease_id=lease_id), "INVALID_FIELD"),
        (make(lease_id=lease_id, outcome=nameless), "INVALID_FIELD"),
        (make(lease_id=lease_id, outcome=nothing), "INVALID_FIELD"),
        (make(lease_id=lease_id, outcome=oversize), "INVALID_FIELD"),
        (make(lease_id=lease_id, outcome=negative), "INVALID_FIELD"),
        (
            make(lease_id=lease_id, outcome=good, keep_lease=True, acquire_next=following),
            "FIELDS_CONTRADICT",
        ),
        (make(lease_id=lease_id, outcome=interim, will_retry=True), "FIELDS_CONTRADICT"),
        (make(lease_id=lease_id, outcome=interim, acquire_next=following), "FIELDS_CONTRADICT"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await world.gateway.leases.ReportOutcome(request)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(failed.value) == reason


async def test_a_lease_is_judged_by_its_time(timed: TimedWorld) -> None:
    """Ended, renewed, expired: what each report and renewal is told."""
    await timed.add_keys("openai", 1)
    leases, ok = timed.gateway.leases, timed.gateway.outcome(http_status=200)
    ended = await timed.gateway.lease("openai", GPT)
    await timed.gateway.report(ended, ok)
    late = await timed.gateway.report(ended, timed.gateway.outcome(http_status=200))
    assert late.lease_state == lease_pb2.LEASE_STATE_ENDED
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await leases.RenewLease(lease_pb2.RenewLeaseRequest(lease_id=ended.lease_id))
    assert reason_of(failed.value) == "LEASE_ENDED"
    renewed = await timed.gateway.lease("openai", GPT)
    timed.clock.advance(200.0)
    await leases.RenewLease(lease_pb2.RenewLeaseRequest(lease_id=renewed.lease_id))
    timed.clock.advance(200.0)
    held = await timed.gateway.report(
        renewed, timed.gateway.outcome(http_status=200), keep_lease=True
    )
    assert held.lease_state == lease_pb2.LEASE_STATE_LIVE
    timed.clock.advance(200.0)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await leases.RenewLease(lease_pb2.RenewLeaseRequest(lease_id=renewed.lease_id))
    assert reason_of(failed.value) in {"LEASE_EXPIRED", "LEASE_ENDED"}
    timed.clock.advance(700.0)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await timed.gateway.report(renewed, timed.gateway.outcome(http_status=200))
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(failed.value) == "LEASE_EXPIRED"


async def test_a_repeated_report_gets_the_same_answer_and_counts_once(world: World) -> None:
    """Also when the repeats arrive together, and with the next lease in the answer."""
    await world.add_keys("openai", 3)
    world.sim.fault(Refusal.SERVER_ERROR, dialect="openai", model=GPT)
    lease = await world.gateway.lease("openai", GPT, "request-1")
    outcome = await world.gateway.call(lease)
    following = lease_pb2.AcquireNext()
    answers = await asyncio.gather(
        *(world.gateway.report(lease, outcome, acquire_next=following) for _ in range(10))
    )
    assert len({answer.lease.lease_id for answer in answers}) == 1
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1


@pytest.mark.parametrize(
    "body", [b"\xff\x00\xfe" * 5000, b'{"error": {"message": "inv', b"", b"[" * 16384, b"<html>"]
)
async def test_any_body_is_judged_and_none_breaks_the_broker(world: World, body: bytes) -> None:
    """A body is bytes, not a promise."""
    await world.add_keys("openai", 1)
    for http_status in (200, 400, 401, 418, 500, 599):
        outcome = world.gateway.outcome(http_status=http_status, body=body[: 16 * 1024])
        lease = (await world.gateway.acquire("openai", f"model-{http_status}")).lease
        if lease.lease_id:
            reported = await world.gateway.report(lease, outcome)
            assert reported.verdict.kind != verdict_pb2.VERDICT_KIND_UNSPECIFIED


@pytest.mark.parametrize(
    "fault", [Fault.HTML_PAGE, Fault.REDIRECT_302, Fault.RESET, Fault.GARBAGE, Fault.HALF_BODY]
)
async def test_a_sick_provider_costs_no_key(world: World, fault: Fault) -> None:
    """HTML, redirects, resets and garbage say nothing about the key."""
    await world.add_keys("openai", 1)
    world.sim.fault(fault, dialect="openai", times=1)
    await world.gateway.use(await world.gateway.lease("openai", GPT))
    status = await world.status()
    [provider] = [entry for entry in status.providers if entry.provider == "openai"]
    assert provider.keys_by_state == {"healthy": 1}


async def test_a_redirect_never_carries_a_probed_key_elsewhere(world: World) -> None:
    """Who follows a redirect with a key has given the key away."""
    [secret] = await world.add_keys("openai", 1)
    world.sim.fault(Fault.REDIRECT_307, dialect="openai")
    async for done in world.gateway.admin.ProbeKeys(admin_pb2.ProbeKeysRequest()):
        assert secret not in done.detail
    assert not [call for call in world.sim.calls if call.dialect == "elsewhere"]


async def test_a_hung_provider_does_not_hold_up_the_broker(world: World) -> None:
    """Probes wait for it; nobody else does."""
    await world.add_keys("openai", 1)
    world.sim.hang(dialect="openai")
    probing = asyncio.create_task(_probe_all(world))
    await world.sim.until(lambda: any(call.dialect == "openai" for call in world.sim.calls))
    assert (await world.gateway.acquire("openai", GPT)).HasField("lease")
    world.sim.release(dialect="openai")
    await probing


async def _probe_all(world: World) -> None:
    async for _ in world.gateway.admin.ProbeKeys(admin_pb2.ProbeKeysRequest()):
        pass


async def test_two_keys_with_the_same_secret_are_refused_with_both_names(world: World) -> None:
    """One of them would fail for the other."""
    world.sim.add_key("openai", "twice")
    world.env_file.write_text("OPENAI_API_KEY_1=twice\nOPENAI_API_KEY_2=twice\nGROQ_API_KEY=\n")
    answer = await world.gateway.admin.RefreshKeys(admin_pb2.RefreshKeysRequest())
    faults = [fault for source in answer.sources for fault in source.faults]
    assert any("OPENAI_API_KEY_1" in fault and "OPENAI_API_KEY_2" in fault for fault in faults)
    assert any(".env:3" in fault for fault in faults)
    assert "twice" not in str(faults)


async def test_calls_cancelled_at_any_point_leak_no_slot(world: World) -> None:
    """A caller that left and asks again for the same attempt takes no second slot."""
    await world.add_keys("openai", 1, CONCURRENCY="3")
    for delay_s in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008):
        names = [f"request-{delay_s}-{number}" for number in range(3)]
        calls = [
            asyncio.ensure_future(world.gateway.acquire("openai", GPT, name)) for name in names
        ]
        await asyncio.sleep(delay_s)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        again = [await world.gateway.acquire("openai", GPT, name) for name in names]
        assert all(answer.HasField("lease") for answer in again)
        full = await world.gateway.acquire("openai", GPT)
        assert full.denial.reason == denial_pb2.DENIAL_REASON_AT_CAPACITY
        for answer in again:
            request = lease_pb2.ReleaseLeaseRequest(lease_id=answer.lease.lease_id)
            await world.gateway.leases.ReleaseLease(request)
