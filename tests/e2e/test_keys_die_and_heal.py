"""The stories of keys, over a real server and real HTTP: what dies is not leased, what heals is."""

import asyncio
import time

from keybroker.v1 import admin_pb2, denial_pb2, key_pb2, lease_pb2, outcome_pb2, verdict_pb2
from simulator import Refusal
from tests.e2e.conftest import MODELS, TimedWorld, World

GPT = MODELS["openai"]
GEMINI = MODELS["gemini"]


async def test_six_dead_keys_cost_one_call_each_and_the_seventh_acquire_says_fix_keys(
    world: World,
) -> None:
    """Quarantine at the first failure; then an answer that a program can act on, at once."""
    providers = ("openai", "anthropic", "gemini")
    keys = {name: await world.add_keys(name, 2) for name in providers}
    for secret in (secret for secrets in keys.values() for secret in secrets):
        world.sim.revoke(secret)
    targets = [denial_pb2.Target(provider=name, model=MODELS[name]) for name in providers]
    request = lease_pb2.AcquireLeaseRequest(
        provider=targets[0].provider, model=targets[0].model, fallbacks=targets[1:]
    )
    for _ in range(6):
        answer = await world.gateway.leases.AcquireLease(request)
        reported = await world.gateway.use(answer.lease)
        assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_INVALID_CREDENTIAL
        assert reported.lease_state == lease_pb2.LEASE_STATE_KEY_UNUSABLE
    began = time.monotonic()
    answer = await world.gateway.leases.AcquireLease(request)
    assert time.monotonic() - began < 0.05
    assert answer.denial.reason == denial_pb2.DENIAL_REASON_QUARANTINED
    assert answer.denial.action == denial_pb2.DENIAL_ACTION_FIX_KEYS
    for secret in (secret for secrets in keys.values() for secret in secrets):
        generations = [call for call in world.sim.calls_of(secret) if call.model]
        assert len(generations) == 1


async def test_a_key_limited_on_one_model_serves_another_at_once(world: World) -> None:
    """Health is per model where the evidence is."""
    [secret] = await world.add_keys("openai", 1)
    world.sim.limit_for(secret, 30.0, GPT)
    reported = await world.gateway.use(await world.gateway.lease("openai", GPT))
    assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_RATE_LIMITED
    denied = await world.gateway.acquire("openai", GPT)
    assert denied.denial.reason == denial_pb2.DENIAL_REASON_COOLING_DOWN
    assert 20 < denied.denial.retry_delay.ToSeconds() <= 34
    other = await world.gateway.use(await world.gateway.lease("openai", "gpt-4o-mini"))
    assert other.verdict.kind == verdict_pb2.VERDICT_KIND_OK


async def test_geminis_invalid_key_is_a_400_and_quarantines(world: World) -> None:
    """The body decides before the status does."""
    [secret] = await world.add_keys("gemini", 1)
    world.sim.revoke(secret)
    reported = await world.gateway.use(await world.gateway.lease("gemini", GEMINI))
    assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_INVALID_CREDENTIAL
    denied = await world.gateway.acquire("gemini", GEMINI)
    assert denied.denial.reason == denial_pb2.DENIAL_REASON_QUARANTINED


async def test_a_400_that_echoes_a_callers_words_quarantines_nothing(world: World) -> None:
    """A caller's words are no evidence against a key that others share."""
    await world.add_keys("gemini", 1)
    world.sim.fault(Refusal.BAD_REQUEST, dialect="gemini", times=1)
    lease = await world.gateway.lease("gemini", GEMINI)
    words = "API key not valid. Please pass a valid API key."
    outcome = await world.gateway.call(lease, words)
    assert outcome.http_status == 400
    assert words.encode() in outcome.body
    reported = await world.gateway.report(lease, outcome)
    assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_INVALID_REQUEST
    assert (await world.gateway.acquire("gemini", GEMINI)).HasField("lease")


async def test_200_acquires_at_the_moment_of_half_open_get_exactly_one_trial(
    timed: TimedWorld,
) -> None:
    """One request finds out for all."""
    [secret] = await timed.add_keys("openai", 1)
    timed.sim.empty(secret)
    await timed.gateway.use(await timed.gateway.lease("openai", GPT))
    denied = await timed.gateway.acquire("openai", GPT)
    assert denied.denial.reason == denial_pb2.DENIAL_REASON_EXHAUSTED
    timed.clock.advance(denied.denial.retry_delay.ToTimedelta().total_seconds() + 0.001)
    answers = await asyncio.gather(*(timed.gateway.acquire("openai", GPT) for _ in range(200)))
    leases = [answer.lease for answer in answers if answer.HasField("lease")]
    assert [lease.trial for lease in leases] == [True]
    reasons = {answer.denial.reason for answer in answers if answer.HasField("denial")}
    assert reasons == {denial_pb2.DENIAL_REASON_TRIAL_BUSY}


async def test_a_probe_that_lists_models_does_not_heal_an_empty_wallet(world: World) -> None:
    """Families never heal each other: the credential is fine, the money is not."""
    [secret] = await world.add_keys("openai", 1)
    world.sim.empty(secret)
    await world.gateway.use(await world.gateway.lease("openai", GPT))
    progress = [done async for done in world.gateway.admin.ProbeKeys(admin_pb2.ProbeKeysRequest())]
    assert [done.detail for done in progress if done.result == 1]
    denied = await world.gateway.acquire("openai", GPT)
    assert denied.denial.reason == denial_pb2.DENIAL_REASON_EXHAUSTED


async def test_a_disabled_key_comes_back_by_enable_key_and_by_nothing_else(world: World) -> None:
    """An operator's word outlives successes, probes, refreshes and cleared circuits."""
    await world.add_keys("openai", 1)
    lease = await world.gateway.lease("openai", GPT)
    admin = world.gateway.admin
    await admin.DisableKey(admin_pb2.DisableKeyRequest(key_id=lease.key_id, reason="drill"))
    reported = await world.gateway.use(lease)
    assert reported.verdict.kind == verdict_pb2.VERDICT_KIND_OK
    assert reported.lease_state == lease_pb2.LEASE_STATE_KEY_UNUSABLE
    async for _ in admin.ProbeKeys(admin_pb2.ProbeKeysRequest(key_ids=[lease.key_id])):
        pass
    await admin.RefreshKeys(admin_pb2.RefreshKeysRequest())
    await admin.ClearCircuit(
        admin_pb2.ClearCircuitRequest(scope=world.key_scope("openai", lease.key_id, lease.revision))
    )
    denied = await world.gateway.acquire("openai", GPT)
    assert denied.denial.reason == denial_pb2.DENIAL_REASON_ALL_DISABLED
    await admin.EnableKey(admin_pb2.EnableKeyRequest(key_id=lease.key_id))
    assert (await world.gateway.acquire("openai", GPT)).HasField("lease")


async def test_a_trial_that_streams_for_5_minutes_blocks_nobody_after_its_interim_report(
    timed: TimedWorld,
) -> None:
    """The first bytes prove it; the rest of the stream is the user's."""
    [secret] = await timed.add_keys("openai", 1)
    timed.sim.empty(secret)
    await timed.gateway.use(await timed.gateway.lease("openai", GPT))
    timed.sim.refill(secret)
    timed.clock.advance(20 * 60.0)
    trial = await timed.gateway.lease("openai", GPT)
    assert trial.trial
    busy = await timed.gateway.acquire("openai", GPT)
    assert busy.denial.reason == denial_pb2.DENIAL_REASON_TRIAL_BUSY
    first_bytes = timed.gateway.outcome(http_status=200)
    first_bytes.interim = True
    first_bytes.phase = outcome_pb2.PHASE_MID_STREAM
    reported = await timed.gateway.report(trial, first_bytes)
    assert reported.lease_state == lease_pb2.LEASE_STATE_LIVE
    assert (await timed.gateway.acquire("openai", GPT)).HasField("lease")
    timed.clock.advance(13.0)
    answers = [await timed.gateway.acquire("openai", GPT) for _ in range(100)]
    assert all(answer.HasField("lease") for answer in answers)
    timed.clock.advance(280.0)
    ended = await timed.gateway.report(trial, timed.gateway.outcome(http_status=200))
    assert ended.lease_state == lease_pb2.LEASE_STATE_ENDED


async def test_every_tenant_is_served_from_system_keys_and_told_so(world: World) -> None:
    """Until there are tenant keys, and never silently."""
    await world.add_keys("openai", 1)
    answer = await world.gateway.acquire("openai", GPT, tenant="acme")
    assert answer.lease.provenance == key_pb2.PROVENANCE_SYSTEM
