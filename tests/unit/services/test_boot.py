"""The start: what has to be proved before a replica is ready, and what lets it be so."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.key import Key
from broker.core.words import Family, State
from broker.ports.mark_store import MarkKind
from broker.ports.prober import Probed
from broker.services.acquisition import Grant
from broker.services.boot import PATIENCE_S, Boot, BootPolicy, BootRules
from broker.services.lookout import WatchRules
from tests.fakes import settle
from tests.unit.services.answers import BAD_KEY
from tests.unit.services.house import INCONCLUSIVE, REJECTED, UNREACHED, House
from tests.unit.services.lookout_given import a_lookout, look_out, restarted, told
from tests.unit.services.status_given import a_key, whole

A, B, G = a_key("a"), a_key("b"), a_key("g", "groq")
ANY, ALL = BootPolicy.REQUIRE_ANY, BootPolicy.REQUIRE_ALL


def rules(policy: BootPolicy, *providers: str) -> WatchRules:
    return WatchRules(BootRules(policy, providers), sentinel_s=0.0)


async def a_start(policy: BootPolicy, *keys: Key, required: tuple[str, ...] = ()) -> House:
    """A replica that is about to probe its keys."""
    return await a_lookout(*keys, rules=rules(policy, *required))


async def probe_all(house: House) -> Boot:
    """Let the probes of the start end, and look at once."""
    await house.core.lookout.boot.probe_all()
    await look_out(house)
    return house.core.lookout.boot


# --- Policies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [BootPolicy.OFF, BootPolicy.REPORT])
async def test_without_a_requirement_it_is_ready_at_once(policy: BootPolicy) -> None:
    house = await a_start(policy, A)
    assert house.core.lookout.boot.is_ready
    house.prober.default = REJECTED
    boot = await probe_all(house)
    assert boot.is_ready
    assert len(house.prober.calls) == (policy is BootPolicy.REPORT)


@pytest.mark.parametrize("policy", [ANY, ALL])
async def test_it_is_not_ready_before_the_keys_are_probed_and_is_when_they_are_accepted(
    policy: BootPolicy,
) -> None:
    house = await a_start(policy, A, B, G)
    boot = house.core.lookout.boot
    assert not boot.is_ready
    assert boot.reasons
    assert (await probe_all(house)).is_ready
    assert boot.reasons == ()
    assert await told(house, "boot_blocked", "boot_let_through", "boot_ready") == []


async def test_require_any_is_content_with_one_key_of_each_provider() -> None:
    house = await a_start(ANY, A, B, G)
    house.prober.will_find("a", REJECTED)
    assert (await probe_all(house)).is_ready


async def test_require_any_wants_one_key_of_each_provider() -> None:
    house = await a_start(ANY, A, B, G)
    house.prober.will_find("g", REJECTED)
    boot = await probe_all(house)
    assert boot.reasons == ("groq: no key is accepted, 1 rejected: replace one of them",)


async def test_require_all_is_kept_from_it_by_one_rejected_key() -> None:
    house = await a_start(ALL, A, B, G)
    house.prober.will_find("b", REJECTED)
    boot = await probe_all(house)
    assert boot.reasons == ("openai: 1 of 2 rejected: replace or remove them",)


async def test_only_named_providers_are_required() -> None:
    house = await a_start(ALL, A, G, required=("groq",))
    house.prober.will_find("a", REJECTED)
    assert (await probe_all(house)).is_ready


@pytest.mark.parametrize("policy", [ANY, ALL])
async def test_a_required_provider_without_keys_keeps_it_from_being_ready(
    policy: BootPolicy,
) -> None:
    house = await a_start(policy, A, required=("openai", "groq"))
    boot = await probe_all(house)
    assert boot.reasons == ("groq: is required and has no key: add one",)
    await house.has_keys(A, G)
    await look_out(house, 2)
    assert boot.is_ready


async def test_no_keys_at_all_are_not_what_was_required() -> None:
    house = await a_start(ANY)
    boot = await probe_all(house)
    assert boot.reasons == ("no provider has a key: add one",)


# --- What cannot be told ----------------------------------------------------------------------


@pytest.mark.parametrize("policy", [ANY, ALL])
@pytest.mark.parametrize("found", [INCONCLUSIVE, UNREACHED])
async def test_keys_that_no_probe_can_tell_about_are_let_through_after_30_s_loudly(
    policy: BootPolicy, found: Probed
) -> None:
    house = await a_start(policy, A)
    house.prober.default = found
    boot = await probe_all(house)
    await look_out(house, PATIENCE_S - 1)
    assert "1 not proved" in boot.reasons[0] or "1 of 1 not proved" in boot.reasons[0]
    await look_out(house, 1)
    assert boot.is_ready
    (event,) = await told(house, "boot_let_through")
    assert event.provider == "openai"
    assert "a" in event.message


async def test_while_it_waits_it_goes_on_probing_what_was_not_told() -> None:
    house = await a_start(ALL, A)
    house.prober.will_find("a", UNREACHED, UNREACHED)
    boot = await probe_all(house)
    await look_out(house, 5)
    assert boot.is_ready
    assert len(house.prober.calls) == 3
    assert await told(house, "boot_let_through") == []


async def test_a_probe_that_hangs_is_waited_for() -> None:
    house = await a_start(ALL, A, B)
    house.prober.gate = asyncio.Event()
    probes = asyncio.create_task(house.core.lookout.boot.probe_all())
    await look_out(house, PATIENCE_S + 5)
    assert not house.core.lookout.boot.is_ready
    house.prober.gate.set()
    await probes
    await look_out(house, 1)
    assert house.core.lookout.boot.is_ready


# --- How it heals -----------------------------------------------------------------------------


async def test_it_becomes_ready_by_itself_when_the_provider_takes_the_key_again() -> None:
    house = await a_start(ANY, A)
    house.prober.will_find("a", REJECTED, REJECTED)
    boot = await probe_all(house)
    for _ in range(60):
        house.core.probing.start_due()
        await look_out(house, 1)
    assert boot.is_ready
    assert len(house.prober.calls) == 3
    assert [e.kind for e in await told(house, "boot_blocked", "boot_ready")] == [
        "boot_blocked",
        "boot_ready",
    ]


async def test_it_becomes_ready_when_the_rejected_key_is_replaced() -> None:
    house = await a_start(ALL, A, B)
    house.prober.will_find("a", REJECTED)
    boot = await probe_all(house)
    await house.has_keys(B)
    await look_out(house, 1)
    assert boot.is_ready


async def test_it_becomes_ready_when_an_operator_disables_the_rejected_key() -> None:
    house = await a_start(ALL, A, B)
    house.prober.will_find("a", REJECTED)
    boot = await probe_all(house)
    await house.core.marks.put(MarkKind.KEY_DISABLED, "a", "operator")
    await look_out(house, 1)
    assert boot.is_ready


async def test_what_an_operator_disabled_is_not_required() -> None:
    house = await a_start(ANY, A, G)
    await house.core.marks.put(MarkKind.UPSTREAM_DISABLED, "groq/", "operator")
    assert (await probe_all(house)).is_ready
    assert house.prober.calls == [("a", A.revision)]


async def test_ready_once_it_stays_ready() -> None:
    house = await a_start(ALL, A)
    boot = await probe_all(house)
    await house.call(BAD_KEY)
    house.prober.default = REJECTED
    await house.probe()
    await house.has_keys()
    await look_out(house, 5)
    assert boot.is_ready
    assert boot.reasons == ()


async def test_a_key_that_was_rejected_before_a_restart_is_so_until_a_probe_says_else() -> None:
    before = await a_start(BootPolicy.REPORT, A)
    before.prober.will_find("a", REJECTED)
    await probe_all(before)
    house = await restarted(before, rules(ANY))
    house.prober.will_find("a", UNREACHED)
    boot = await probe_all(house)
    await look_out(house, PATIENCE_S + 5)
    assert not boot.is_ready
    assert house.state(whole(A), Family.CREDENTIAL) is State.HALF_OPEN
    await house.probe()
    await look_out(house, 1)
    assert boot.is_ready


# --- Meanwhile --------------------------------------------------------------------------------


async def test_leases_are_granted_and_denied_as_ever_while_it_is_not_ready() -> None:
    house = await a_start(ALL, A, B)
    house.prober.will_find("a", REJECTED)
    boot = await probe_all(house)
    assert not boot.is_ready
    granted = [await house.acquire() for _ in range(10)]
    assert {grant.key.key_id for grant in granted if isinstance(grant, Grant)} == {"b"}


async def test_reasons_name_no_key_since_everybody_may_read_them() -> None:
    secretive = replace(A, key_id="very-private")
    house = await a_start(ALL, secretive)
    house.prober.default = REJECTED
    boot = await probe_all(house)
    assert "very-private" not in " ".join(boot.reasons)
    (event,) = await told(house, "boot_blocked")
    assert event.message == f"not ready: {boot.reasons[0]}"
    await settle()
