"""A gateway for one tenant must not read in the status who the other tenants are."""

from contextlib import aclosing
from typing import Any

import pytest

from broker.core.health import Incident
from broker.core.key import KeySettings
from broker.core.scope import (
    Scope,
    Upstream,
    account_scope,
    key_model_scope,
    key_scope,
    upstream_principal_scope,
    upstream_scope,
)
from broker.core.words import Family, Provenance
from broker.edge.grpc.auth import enter
from broker.services.principal import Principal, Role
from keybroker.v1 import status_pb2
from tests.unit.services.status_given import Desk, a_desk, a_key

NO_CONTEXT: Any = None
GATEWAYS = frozenset({Role.GATEWAY})
ACME_ONLY = Principal("chat", GATEWAYS, ("acme",), untenanted=False)
EVERYBODY = (
    Principal("any", GATEWAYS),
    Principal("ann", frozenset({Role.OBSERVER}), (), untenanted=False),
)
OTHERS = ("bravo", "their-key", "their.test", "ft:their-model", "their-gateway", "their-account")


@pytest.fixture
async def desk() -> Desk:
    """All that can go wrong for somebody else has gone wrong, and some of one's own."""
    desk = await a_desk(a_key("openai/1"))
    mine = KeySettings(account="my-account", base_url="https://my.test")
    theirs = KeySettings(account="their-account", base_url="https://their.test")
    my_key = await desk.keep("my-key", settings=mine)
    their_key = await desk.keep("their-key", "bravo", settings=theirs)
    for tenant in ("acme", "bravo"):
        await desk.leased_for(tenant)
    for key in (my_key, their_key):
        name = (key.provider, key.key_id, key.revisions[0].revision)
        account = account_scope(key.provider, key.tenant, key.settings.account)
        upstream = Upstream("openai", key.settings.base_url, "gpt-4o")
        await desk.fail(key_scope(*name), Family.CREDENTIAL)
        await desk.fail(account, Family.QUOTA)
        await desk.fail(upstream_scope(upstream), Family.HEALTH)
    system = desk.core.keyring.key("openai/1")
    strange = key_model_scope("openai", "openai/1", system.revision, "ft:their-model")
    unloaded = key_scope("openai", "their-key-of-yesterday", "r")
    seen = upstream_principal_scope(Upstream("openai", "", "gpt-4o"), "their-gateway")
    for scope, family in ((strange, Family.ACCESS), (unloaded, Family.CREDENTIAL)):
        await desk.fail(scope, family)
    await desk.fail(seen, Family.HEALTH)
    incident = Incident(Provenance.TENANT, ("my-key", "their-key"), desk.clock.now())
    desk.core.health.of("openai").replica.view.set_incident(Provenance.TENANT, incident)
    return desk


async def status(desk: Desk) -> status_pb2.BrokerStatus:
    request = status_pb2.GetStatusRequest()
    return (await desk.servicers.status.GetStatus(request, NO_CONTEXT)).status


async def test_a_gateway_for_one_tenant_read_the_names_of_all_the_others(desk: Desk) -> None:
    enter(ACME_ONLY)
    watched = desk.servicers.status.WatchStatus(status_pb2.WatchStatusRequest(), NO_CONTEXT)
    async with aclosing(watched) as news:  # type: ignore[type-var]  # it is a generator
        first = (await anext(news)).status
    for shown in (await status(desk), first, desk.servicers.show_status(ACME_ONLY)):
        told = repr(shown)
        assert [name for name in OTHERS if name in told] == []
        for own in ("my-key", "my-account", "my.test"):
            assert own in told


async def test_trouble_of_system_keys_is_everybody_s_to_see(desk: Desk) -> None:
    enter(ACME_ONLY)
    scope: Scope = key_scope("openai", "openai/1", desk.core.keyring.key("openai/1").revision)
    await desk.fail(scope, Family.CREDENTIAL)
    shown = await status(desk)
    assert "openai/1" in {circuit.scope.key_id for circuit in shown.circuits}
    assert shown.circuit_count == len(shown.circuits)


@pytest.mark.parametrize("reader", EVERYBODY)
async def test_whoever_serves_or_watches_every_tenant_is_shown_everything(
    desk: Desk, reader: Principal
) -> None:
    enter(reader)
    told = repr(await status(desk))
    assert [name for name in OTHERS if name not in told] == []
