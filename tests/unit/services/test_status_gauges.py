"""What a scrape shows of the present moment."""

from broker.core.words import Family, Provenance
from broker.services.gauges import Gauges
from tests.unit.services.status_given import a_desk, a_key, whole


async def test_every_state_of_every_provider_is_told_also_when_no_key_is_in_it() -> None:
    keys = [a_key("k1"), a_key("k2"), a_key("k3")]
    desk = await a_desk(*keys)
    await desk.fail(whole(keys[0]), Family.CREDENTIAL)
    desk.clock.advance(7)
    core = desk.core
    taken = Gauges(core.keyring, core.health, core.marks, core.refreshing, desk.clock).take()
    assert taken.states[0] == "healthy"
    assert len(taken.pool_keys) == 14
    assert taken.pool_keys["openai", "quarantined"] == 1
    assert taken.pool_keys["openai", "healthy"] == 2
    assert taken.pool_keys["groq", "healthy"] == 0
    assert taken.source_ages_s == {"fake": 7}
    assert taken.is_store_up


async def test_only_system_keys_are_told_one_by_one() -> None:
    desk = await a_desk(a_key("k1"), a_key("t1", provenance=Provenance.TENANT, owner="acme"))
    core = desk.core
    taken = Gauges(core.keyring, core.health, core.marks, core.refreshing, desk.clock).take()
    assert taken.key_states == {("openai", "k1"): "healthy"}
