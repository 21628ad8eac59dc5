"""Keys that are rejected together are one incident with one cause."""

from dataclasses import replace

from broker.core.facts import ProbeEnded
from broker.core.health import Incident
from broker.core.key import Key
from broker.core.revisions import HeldKey, Revision
from broker.core.words import ProbeResult, Provenance
from broker.services.acquisition import Grant
from broker.services.retirement import RETIRE_AFTER_S
from tests.unit.services.answers import BAD_KEY, LIMITED, MINI, OK
from tests.unit.services.house import AUTHENTICATED, REJECTED, House, a_house
from tests.unit.services.lookout_given import a_tenant_key, look_out, restarted
from tests.unit.services.status_given import a_key

A, B, C, D = (a_key(name) for name in "abcd")


def incident(house: House) -> Incident | None:
    return house.core.health.of("openai").replica.view.incident(Provenance.SYSTEM)


async def use(house: House, *names: str) -> dict[str, Grant]:
    """Lease each of these keys."""
    every = {key.key_id for key in house.source.keys}
    return {name: await house.lease(excluded=tuple(every - {name})) for name in names}


async def kinds(house: House) -> list[str]:
    events = await house.events()
    return [event.kind for event in events if event.kind.startswith("incident")]


async def test_the_only_key_in_use_that_is_rejected_is_an_incident() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    assert await kinds(house) == ["incident_opened"]
    found = incident(house)
    assert found is not None
    assert found.key_ids == ("a",)
    (event,) = await house.events("incident_opened")
    assert event.attributes["keys"] == "a"


async def test_less_than_half_of_the_keys_in_use_is_no_incident() -> None:
    house = await a_house(A, B, C)
    leases = await use(house, "a", "b", "c")
    await house.report(leases["a"], BAD_KEY)
    assert await kinds(house) == []
    assert incident(house) is None


async def test_half_of_the_keys_in_use_open_one_incident_and_later_ones_join_it() -> None:
    house = await a_house(A, B, C, D)
    leases = await use(house, "a", "b", "c", "d")
    for name in "abcd":
        await house.report(leases[name], BAD_KEY)
    assert await kinds(house) == ["incident_opened", "incident_joined", "incident_joined"]
    found = incident(house)
    assert found is not None
    assert found.key_ids == ("a", "b", "c", "d")


async def test_keys_that_nobody_used_for_ten_minutes_do_not_count() -> None:
    house = await a_house(A, B, C)
    await use(house, "a", "b", "c")
    house.clock.advance(601)
    leases = await use(house, "a")
    await house.report(leases["a"], BAD_KEY)
    assert await kinds(house) == ["incident_opened"]


async def test_rejections_more_than_a_minute_apart_are_no_incident() -> None:
    house = await a_house(A, B, C)
    leases = await use(house, "a", "b", "c")
    await house.report(leases["a"], BAD_KEY)
    house.clock.advance(61)
    await house.report(leases["b"], BAD_KEY)
    assert await kinds(house) == []


async def test_other_trouble_is_no_incident() -> None:
    house = await a_house(A)
    await house.call(LIMITED)
    assert await kinds(house) == []


async def test_an_incident_closes_when_more_than_half_of_its_keys_are_back() -> None:
    house = await a_house(A, B)
    leases = await use(house, "a", "b")
    for name in "ab":
        await house.report(leases[name], BAD_KEY)
    house.prober.will_find("a", AUTHENTICATED)
    house.prober.will_find("b", REJECTED, AUTHENTICATED)
    await house.probe()
    assert incident(house) is not None
    house.clock.advance(17)
    await house.probe()
    assert incident(house) is None
    assert (await kinds(house))[-1] == "incident_closed"


async def test_an_incident_closes_when_its_keys_are_rotated() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    await house.has_keys(replace(A, revision="new"))
    await house.probe()
    assert incident(house) is None
    assert await kinds(house) == ["incident_opened", "incident_closed"]


async def test_an_incident_closes_when_its_keys_are_removed() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    await house.has_keys(B)
    house.clock.advance(RETIRE_AFTER_S)
    await house.has_keys(B)
    assert incident(house) is None
    assert await kinds(house) == ["incident_opened", "incident_closed"]


async def test_a_false_alarm_that_comes_again_while_the_key_ramps_is_another_incident() -> None:
    house = await a_house(A)
    await house.call(BAD_KEY)
    await house.probe()
    assert incident(house) is None
    house.clock.advance(3)
    lease = await house.lease(MINI)
    await house.report(lease, BAD_KEY)
    assert await kinds(house) == ["incident_opened", "incident_closed", "incident_opened"]


async def test_each_provider_has_its_own_incidents() -> None:
    house = await a_house(A, a_key("g", "groq"))
    await house.call(BAD_KEY)
    assert house.core.health.of("groq").replica.view.incident(Provenance.SYSTEM) is None


async def test_another_replica_knows_of_an_incident_and_does_not_tell_it_again() -> None:
    here = await a_house(A)
    there = await a_house(name="there", beside=here)
    await here.call(BAD_KEY)
    assert incident(there) is not None
    assert await kinds(there) == []
    there.clock.advance(17)
    await there.probe()
    assert incident(here) is None
    assert await kinds(there) == ["incident_closed"]
    assert await kinds(here) == ["incident_opened"]


# --- What is told -----------------------------------------------------------------------------


async def rejected(house: House, *keys: Key) -> None:
    """Probes find these keys rejected."""
    for key in keys:
        house.prober.will_find(key.key_id, REJECTED)
        async for _ in house.core.probing.probe_now([key]):
            pass


async def test_an_incident_tells_what_its_rejections_have_in_common() -> None:
    house = await a_house(a_key("a", account="main"), a_key("b", account="main"))
    leases = await use(house, "a", "b")
    for name in "ab":
        await house.report(leases[name], BAD_KEY)
    opened, joined = await house.events("incident_opened") + await house.events("incident_joined")
    assert opened.attributes["cause"] == "credential"
    assert opened.attributes["used"] == "2"
    assert opened.attributes["detail"] == (
        "all by spoken:bad-key, 0 confirmed by probes, only gateway reported it"
    )
    assert joined.attributes["detail"].startswith("all of account main, all by spoken:bad-key")
    assert "2 of 2 keys in use" in joined.message


async def test_the_end_of_an_incident_tells_its_downtime() -> None:
    house = await a_house(A)
    await rejected(house, A)
    await look_out(house, 90)
    async for _ in house.core.probing.probe_now([A]):
        pass
    (event,) = await house.events("incident_closed")
    assert event.attributes["downtime_s"] == "90"
    assert "1 min 30 s" in event.message


# --- What is not known ------------------------------------------------------------------------


async def test_a_replica_that_just_started_judges_a_rejection_against_all_keys() -> None:
    house = await a_house(A, B, C, D)
    await rejected(house, A)
    assert await kinds(house) == []
    await rejected(house, B)
    assert await kinds(house) == ["incident_opened"]


async def test_a_key_that_nobody_uses_is_no_incident_beside_others_that_nobody_uses() -> None:
    house = await a_house(A, B, C)
    house.clock.advance(3600)
    await rejected(house, A)
    assert await kinds(house) == []


async def test_a_call_that_succeeds_shows_that_its_key_is_in_use() -> None:
    house = await a_house(A, B, C)
    leases = await use(house, "a", "b", "c")
    house.clock.advance(299)
    for name in "abc":
        await house.report(leases[name], OK)
    house.clock.advance(302)
    await house.report(await house.lease(excluded=("b", "c")), BAD_KEY)
    assert await kinds(house) == []


async def test_rejections_that_another_replica_saw_count() -> None:
    here = await a_house(A, B, C, D)
    there = await a_house(name="there", beside=here)
    leases = await use(here, "a", "b", "c", "d")
    await rejected(there, A)
    await here.report(leases["b"], BAD_KEY)
    assert await kinds(here) == ["incident_opened"]
    found = incident(here)
    assert found is not None
    assert found.key_ids == ("a", "b")


async def test_one_tenants_key_is_judged_beside_the_tenants_keys_in_use() -> None:
    house, key = await a_house(A), a_tenant_key("t")
    house.core.keyring.take(HeldKey.loaded([Revision(key)]))
    await rejected(house, key)
    found = house.core.health.of("openai").replica.view.incident(Provenance.TENANT)
    assert found is not None
    assert found.key_ids == ("t",)
    assert incident(house) is None


async def test_a_new_secret_that_is_rejected_while_the_old_one_serves_is_no_incident() -> None:
    house = await a_house(A)
    new = replace(A, revision="new")
    await house.has_keys(new)
    await rejected(house, new)
    assert await kinds(house) == []


# --- Restarts ---------------------------------------------------------------------------------


async def test_an_incident_outlives_a_restart_and_is_not_told_again() -> None:
    before = await a_house(A, B)
    await rejected(before, A, B)
    house = await restarted(before)
    await look_out(house, 30)
    assert incident(house) is not None
    async for _ in house.core.probing.probe_now([A, B]):
        pass
    assert await kinds(house) == ["incident_opened", "incident_joined", "incident_closed"]
    (event,) = await house.events("incident_closed")
    assert event.attributes["downtime_s"] == "30"


async def test_an_incident_that_was_over_when_the_broker_was_killed_ends_at_the_restart() -> None:
    before = await a_house(A)
    await rejected(before, A)
    await before.core.health.close()
    healed = ProbeEnded(
        fact_id="p",
        provider="openai",
        replica="killed",
        key_id="a",
        revision=A.revision,
        result=ProbeResult.AUTHENTICATED,
    )
    await before.shared_log.append(healed, 0.0)
    house = await restarted(before)
    assert incident(house) is not None
    await look_out(house, 1)
    assert incident(house) is None
    assert await kinds(house) == ["incident_opened", "incident_closed"]
