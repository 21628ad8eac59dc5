"""A new secret is proved before it is used; a wrong one costs no request."""

import asyncio
from dataclasses import replace

import pytest

from broker.core.facts import RevisionAdopted
from broker.core.key import Key
from broker.core.words import DenialReason, Family
from broker.ports.key_source import SourceFault
from broker.ports.mark_store import MarkKind
from broker.ports.prober import Probed
from broker.services.retirement import RETIRE_AFTER_S
from tests.unit.services.answers import BAD_KEY, OK
from tests.unit.services.house import (
    AUTHENTICATED,
    INCONCLUSIVE,
    REJECTED,
    UNREACHED,
    House,
    a_house,
)
from tests.unit.services.rotation_given import NEW, OLD, held, new, read_again, rotated, served
from tests.unit.services.status_given import a_key, whole


def keys(house: House) -> list[Key]:
    return house.core.keyring.keys()


async def kinds(house: House) -> list[str]:
    return [event.kind for event in await house.events() if event.kind.startswith("revision")]


# --- A new secret that works ------------------------------------------------------------------


async def test_a_new_secret_is_leased_when_a_probe_has_proved_it_and_not_before() -> None:
    house = await a_house(OLD)
    await house.has_keys(NEW)
    assert await served(house) == OLD.revision
    await house.probe()
    assert house.prober.calls == [("k", "new")]
    assert await served(house) == "new"


async def test_adoption_is_a_fact_and_an_event_with_how_long_it_took() -> None:
    house = await a_house(OLD)
    house.prober.will_find("k", INCONCLUSIVE)
    await house.has_keys(NEW)
    await house.probe()
    await read_again(house, 1.5)
    await house.probe()
    facts = [logged.fact for logged in house.log.appended]
    (adopted,) = [fact for fact in facts if isinstance(fact, RevisionAdopted)]
    assert (adopted.key_id, adopted.revision, adopted.replaced) == ("k", "new", OLD.revision)
    (event,) = await house.events("revision_adopted")
    assert event.attributes == {"revision": "new", "replaced": OLD.revision, "elapsed_s": "1.500"}


async def test_a_dead_key_serves_again_as_soon_as_its_new_secret_is_proved() -> None:
    house = await a_house(OLD)
    await house.call(BAD_KEY)
    assert await house.refused() is DenialReason.QUARANTINED
    await rotated(house, NEW)
    assert await served(house) == "new"
    assert held(house) == ["new"]
    assert house.circuit(whole(OLD), Family.CREDENTIAL) is None


async def test_what_a_newer_secret_replaced_before_it_was_proved_is_forgotten() -> None:
    house = await a_house(OLD)
    await house.has_keys(new("b"))
    await house.has_keys(new("c"))
    assert held(house) == ["c", OLD.revision]
    await house.probe()
    assert house.prober.calls == [("k", "c")]
    assert await served(house) == "c"


async def test_the_probe_of_a_secret_that_was_replaced_meanwhile_changes_nothing() -> None:
    house = await a_house(OLD)
    house.prober.will_find("k", AUTHENTICATED, REJECTED)
    house.prober.gate = asyncio.Event()
    await house.has_keys(new("b"))
    await house.probe()
    await house.has_keys(new("c"))
    house.prober.gate.set()
    await house.probe()
    assert await served(house) == OLD.revision
    assert await kinds(house) == ["revision_rejected"]


async def test_settings_take_effect_at_once_also_while_a_secret_waits() -> None:
    house = await a_house(OLD)
    await house.has_keys(replace(NEW, models={"gpt-mini": ""}))
    assert await house.refused() is DenialReason.MODEL_NOT_ALLOWED


async def test_where_no_probe_can_tell_a_new_secret_serves_at_once() -> None:
    old = a_key("k", "public")
    house = await a_house(old)
    await house.has_keys(new(key=old))
    found = house.core.keyring.find("k")
    assert found is not None
    assert found.revision == "new"
    (event,) = await house.events("revision_adopted")
    assert event.attributes["proven"] == "false"
    await house.probe()
    assert house.prober.calls == []


# --- A new secret that does not ---------------------------------------------------------------


async def test_a_bogus_secret_over_a_working_one_costs_no_request_and_is_told_once() -> None:
    house = await a_house(OLD)
    await rotated(house, NEW, *[REJECTED] * 9)
    for _ in range(30):
        await read_again(house)
        await house.probe()
        await house.call(OK)
    (event,) = await house.events("revision_rejected")
    assert event.key_id == "k"
    assert event.attributes == {
        "revision": "new",
        "in_use": OLD.revision,
        "source": "fake",
        "elapsed_s": "0.000",
    }
    assert "mend it in fake" in event.message
    assert await house.events("incident_opened") == []
    assert await served(house) == OLD.revision


async def test_a_rejected_secret_serves_when_the_provider_accepts_it_later() -> None:
    house = await a_house(OLD)
    await rotated(house, NEW, REJECTED)
    house.clock.advance(17)
    await house.probe()
    assert await served(house) == "new"


async def test_going_back_to_the_secret_in_use_forgets_the_bogus_one() -> None:
    house = await a_house(OLD)
    await rotated(house, NEW, REJECTED)
    await house.has_keys(OLD)
    assert held(house) == [OLD.revision]
    assert list(house.core.health.circuits()) == []
    await rotated(house, NEW, REJECTED)
    assert len(await house.events("revision_rejected")) == 2


async def test_going_back_to_a_secret_that_was_replaced_proves_it_again() -> None:
    """It may have been revoked since."""
    house = await a_house(OLD)
    await house.call(OK)
    await rotated(house, NEW)
    await rotated(house, OLD, REJECTED)
    assert await served(house) == "new"
    house.clock.advance(17)
    await house.probe()
    assert await served(house) == OLD.revision


async def test_a_bogus_secret_over_a_dead_one_is_told_too() -> None:
    house = await a_house(OLD)
    await house.call(BAD_KEY)
    await rotated(house, NEW, REJECTED, REJECTED)
    assert await house.refused() is DenialReason.QUARANTINED
    (event,) = await house.events("revision_rejected")
    assert "which is rejected as well" in event.message


# --- A new secret of which probes prove nothing ------------------------------------------------


@pytest.mark.parametrize("found", [INCONCLUSIVE, UNREACHED])
async def test_one_that_proves_nothing_waits_and_is_probed_again_with_growing_pauses(
    found: Probed,
) -> None:
    house = await a_house(OLD)
    await rotated(house, NEW, *[found] * 4)
    for _ in range(10):
        await read_again(house)
        await house.probe()
        assert house.core.keyring.key("k") == OLD or len(house.prober.calls) == 5
    assert len(house.prober.calls) == 4
    await read_again(house, 6)
    await house.probe()
    assert await served(house) == "new"


async def test_one_that_proves_nothing_serves_where_the_older_one_is_dead() -> None:
    house = await a_house(OLD)
    await rotated(house, NEW, *[INCONCLUSIVE] * 99)
    assert await served(house) == OLD.revision
    await house.call(BAD_KEY)
    assert await served(house) == "new"
    (event,) = await house.events("revision_adopted")
    assert event.attributes["proven"] == "false"
    await house.call(OK)
    assert held(house) == ["new"]


async def test_an_older_one_that_heals_serves_again_until_the_newer_one_is_proved() -> None:
    house = await a_house(OLD)
    await house.call(OK)
    house.prober.will_find("k", INCONCLUSIVE, INCONCLUSIVE, AUTHENTICATED)
    await house.has_keys(NEW)
    await house.probe()
    await house.call(BAD_KEY)
    assert await served(house) == "new"
    await read_again(house)
    await house.probe()
    assert house.prober.calls == [("k", "new"), ("k", "new"), ("k", OLD.revision)]
    assert house.core.keyring.key("k") == OLD


# --- Whatever the source does -----------------------------------------------------------------


async def test_a_key_that_is_removed_and_comes_back_with_another_secret_is_a_rotation() -> None:
    """As one edit in two steps: the secret in use serves until the new one is proved."""
    house = await a_house(OLD)
    await house.call(OK)
    await house.has_keys()
    assert await house.refused() is DenialReason.NO_KEYS
    house.clock.advance(RETIRE_AFTER_S - 1)
    await rotated(house, NEW, REJECTED)
    assert await served(house) == OLD.revision


async def test_a_key_that_comes_back_late_is_a_new_one() -> None:
    house = await a_house(OLD)
    await house.has_keys()
    await read_again(house, RETIRE_AFTER_S)
    await house.has_keys(NEW)
    assert held(house) == ["new"]
    assert await served(house) == "new"


async def test_two_keys_may_swap_their_secrets() -> None:
    other = a_key("o")
    house = await a_house(OLD, other)
    swapped = (
        replace(OLD, revision=other.revision, secret=other.secret),
        replace(other, revision=OLD.revision, secret=OLD.secret),
    )
    await house.has_keys(*swapped)
    await house.probe()
    assert keys(house) == list(swapped)


async def test_what_a_faulty_reading_lost_stays_in_use_and_what_it_gives_takes_effect() -> None:
    house = await a_house(OLD, a_key("o"))
    house.source.faults = (SourceFault(".env:3", "has no value"),)
    await house.has_keys(a_key("o", priority=3), a_key("p"))
    assert {key.key_id: key.priority for key in keys(house)} == {"k": 0, "o": 3, "p": 0}
    (reading,) = house.core.refreshing.readings.values()
    assert [fault.message for fault in reading.refreshed.faults] == [
        "has no value",
        "k stays as before, until every fault is mended",
    ]
    house.source.faults = ()
    await read_again(house)
    assert [key.key_id for key in keys(house)] == ["o", "p"]


async def test_a_key_that_was_renamed_in_a_faulty_reading_is_not_kept_twice() -> None:
    house = await a_house(OLD)
    house.source.faults = (SourceFault(".env:3", "has no value"),)
    await house.has_keys(replace(OLD, key_id="renamed"))
    assert [key.key_id for key in keys(house)] == ["renamed"]


async def test_a_probe_while_the_key_is_disabled_is_made_up_for_when_it_is_enabled() -> None:
    house = await a_house(OLD)
    await house.core.marks.put(MarkKind.KEY_DISABLED, "k", "ann")
    await house.has_keys(NEW)
    await house.probe()
    assert house.prober.calls == []
    await house.core.marks.remove(MarkKind.KEY_DISABLED, "k")
    await read_again(house)
    await house.probe()
    assert await served(house) == "new"
