"""The status shows where tenants' keys come from, and tells strangers no names."""

from dataclasses import dataclass, replace

from broker.app.servicers import make_servicers
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.edge.grpc.policy_messages import write_policy
from broker.services.policy_words import policy_in_words
from broker.services.principal import Principal, Role
from broker.services.privacy import Privacy
from broker.services.tenant_sources import TenantSources
from tests.unit.services.fleet_given import a_fleet
from tests.unit.services.status_given import SPOKEN, a_desk, a_key


@dataclass
class FakeTable:
    source: str = "table keys"
    read_at: float | None = None
    faults: tuple[str, ...] = ()


async def test_a_broker_alone_has_no_such_source() -> None:
    desk = await a_desk(a_key("s1"))
    assert [shown.source for shown in desk.status.now().sources] == ["fake"]


async def test_a_shared_database_is_as_old_as_the_last_second_in_which_changes_were_told() -> None:
    fleet = await a_fleet()
    await fleet.tick(30)
    fleet.feed.is_current = False
    await fleet.tick(100)
    (_, shown) = fleet.there.status.now().sources
    now = fleet.there.clock.now()
    assert (shown.source, shown.is_stale) == ("database", False)
    assert shown.read_at == now - 100
    assert shown.expires_at == now - 100 + 86_400
    await fleet.tick(86_400)
    assert fleet.there.status.now().sources[1].is_stale


async def test_a_table_is_shown_with_what_is_wrong_and_tells_strangers_no_names() -> None:
    desk = await a_desk(a_key("s1"))
    table = FakeTable(read_at=desk.clock.now(), faults=("table keys, bad: of tenant 'acme'",))
    sources = TenantSources(desk.core.tenants.freshness, lambda: "", table)
    (shown,) = sources.now()
    assert (shown.source, shown.faults, shown.known_at) == (
        "table keys",
        table.faults,
        table.read_at,
    )
    core = replace(desk.core, world=replace(desk.core.world, table=table))
    status = make_servicers(core, {"spoken": SPOKEN}).status.status.now()
    assert status.sources[-1].faults == table.faults
    stranger = Principal("g", frozenset({Role.GATEWAY}), tenants=("other",))
    seen = Privacy(desk.core.keyring).shown_to(stranger, status).sources[-1]
    assert "acme" not in "".join(seen.faults)
    assert len(seen.faults) == 1


async def test_a_table_that_was_never_read_has_no_age() -> None:
    desk = await a_desk(a_key("s1"))
    (shown,) = TenantSources(desk.core.tenants.freshness, lambda: "", FakeTable()).now()
    assert (shown.known_at, shown.expires_at, shown.is_stale) == (None, None, False)


def test_a_policy_that_keys_imply_says_so() -> None:
    policy = TenantPolicy("acme", "openai", PolicyMode.TENANT_ONLY, set_by="table keys")
    assert "since it has keys in table keys" in policy_in_words(policy)
    message = write_policy(policy)
    assert message.set_by == "table keys"
    assert not message.HasField("set_time")
