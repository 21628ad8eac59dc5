"""Clearing closes exactly the circuits named, without a trace."""

from dataclasses import replace

import pytest

from broker.core.scope import Scope, Upstream, upstream_principal_scope, upstream_scope
from broker.core.words import Family, ScopeKind
from broker.services.acquisition import Grant
from broker.services.errors import InvalidFieldError
from tests.unit.services.status_given import (
    Desk,
    a_desk,
    a_key,
    billed,
    on_model,
    whole,
)

K1 = a_key("k1", account="main")
UPSTREAM = Upstream("openai", "", "gpt-4o")


async def a_desk_in_trouble(*scopes: tuple[Scope, Family]) -> Desk:
    desk = await a_desk(K1)
    for scope, family in scopes:
        await desk.fail(scope, family)
    return desk


async def cleared(desk: Desk, scope: Scope, family: Family | None = None) -> list[Scope]:
    return [view.record.scope for view in await desk.clearing.clear("ops", scope, family)]


@pytest.mark.parametrize(
    ("scope", "family"),
    [
        (whole(K1), Family.CREDENTIAL),
        (on_model(K1), Family.LIMIT),
        (billed(K1), Family.QUOTA),
        (upstream_scope(UPSTREAM), Family.HEALTH),
        (upstream_principal_scope(UPSTREAM, "gateway"), Family.HEALTH),
    ],
)
async def test_every_kind_of_scope_can_be_cleared(scope: Scope, family: Family) -> None:
    desk = await a_desk_in_trouble((scope, family))
    assert not isinstance(await desk.lease(), Grant)
    assert await cleared(desk, scope) == [scope]
    assert list(desk.core.health.circuits()) == []
    assert isinstance(await desk.lease(), Grant)


async def test_what_is_told_is_the_circuit_as_it_was() -> None:
    desk = await a_desk_in_trouble((whole(K1), Family.CREDENTIAL))
    (view,) = await desk.clearing.clear("ops", whole(K1), None)
    assert (view.state, view.level) == ("open", 1)
    assert await cleared(desk, whole(K1)) == []


async def test_no_level_is_left_by_clearing_what_has_closed_by_itself() -> None:
    desk = await a_desk_in_trouble((whole(K1), Family.LIMIT))
    desk.clock.advance(60)
    assert await cleared(desk, whole(K1)) == []
    await desk.fail(whole(K1), Family.LIMIT)
    assert (await desk.inventory.key("k1")).circuits[0].level == 1


async def test_one_family_can_be_cleared_alone() -> None:
    desk = await a_desk_in_trouble((whole(K1), Family.QUOTA), (whole(K1), Family.CREDENTIAL))
    await desk.clearing.clear("ops", whole(K1), Family.QUOTA)
    left = [view.record.family for view in (await desk.inventory.key("k1")).circuits]
    assert left == [Family.CREDENTIAL]


async def test_clearing_a_key_does_not_clear_its_models() -> None:
    desk = await a_desk_in_trouble((whole(K1), Family.LIMIT), (on_model(K1), Family.LIMIT))
    assert await cleared(desk, whole(K1)) == [whole(K1)]
    assert [view.record.scope for view in (await desk.inventory.key("k1")).circuits] == [
        on_model(K1)
    ]


async def test_a_key_needs_neither_provider_nor_revision() -> None:
    desk = await a_desk_in_trouble((whole(K1), Family.LIMIT))
    bare = Scope(ScopeKind.KEY, "", "k1")
    assert await cleared(desk, bare._replace(revision="another")) == []
    assert await cleared(desk, bare) == [whole(K1)]


async def test_an_empty_endpoint_means_every_endpoint() -> None:
    own = Upstream("openai", "https://own.test", "gpt-4o")
    desk = await a_desk_in_trouble(
        (upstream_scope(UPSTREAM), Family.HEALTH), (upstream_scope(own), Family.HEALTH)
    )
    assert len(await cleared(desk, upstream_scope(UPSTREAM))) == 2


async def test_an_account_without_an_owner_is_the_operators() -> None:
    key = replace(K1, owner="acme")
    desk = await a_desk_in_trouble((billed(key), Family.QUOTA))
    assert await cleared(desk, billed(K1)) == []
    assert await cleared(desk, billed(key)) == [billed(key)]


async def test_a_circuit_of_a_model_that_nobody_knows_can_be_cleared() -> None:
    desk = await a_desk_in_trouble((on_model(K1, "made-up"), Family.ACCESS))
    assert await cleared(desk, on_model(K1, "made-up")) == [on_model(K1, "made-up")]
    assert list(desk.core.health.circuits()) == []


async def test_a_cleared_upstream_starts_with_an_empty_window() -> None:
    desk = await a_desk(K1)
    for _ in range(10):
        await desk.report(await desk.granted(), 500)
    assert not isinstance(await desk.lease(), Grant)
    assert len(await cleared(desk, upstream_scope(UPSTREAM))) == 1
    await desk.report(await desk.granted(), 500)
    assert isinstance(await desk.lease(), Grant)


async def test_clearing_enables_nothing() -> None:
    desk = await a_desk_in_trouble((whole(K1), Family.LIMIT))
    await desk.administration.disable_key("ops", "k1", "")
    await desk.clearing.clear("ops", whole(K1), None)
    assert (await desk.inventory.key("k1")).state == "disabled"


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        (Scope(ScopeKind.REQUEST, "openai"), "scope.kind"),
        (Scope(ScopeKind.KEY, "openai"), "scope.key_id"),
        (Scope(ScopeKind.KEY_MODEL, "openai", "k1"), "scope.model"),
        (Scope(ScopeKind.ACCOUNT, "openai"), "scope.account"),
        (Scope(ScopeKind.UPSTREAM, "", model="gpt-4o"), "scope.provider"),
        (Scope(ScopeKind.UPSTREAM_PRINCIPAL, "openai", model="gpt-4o"), "scope.principal"),
    ],
)
async def test_what_the_kind_needs_must_be_named(scope: Scope, field: str) -> None:
    desk = await a_desk(K1)
    with pytest.raises(InvalidFieldError) as fault:
        await desk.clearing.clear("ops", scope, None)
    assert fault.value.metadata["field"] == field


async def test_nothing_matches_an_unknown_provider() -> None:
    desk = await a_desk_in_trouble((upstream_scope(UPSTREAM), Family.HEALTH))
    assert await cleared(desk, Scope(ScopeKind.UPSTREAM, "opnai", model="gpt-4o")) == []
