"""What operators do to keys, they do to those of tenants too, at hand or not."""

import pytest

from broker.adapters.seal import ClosedSealer
from broker.app.world import Tenancy
from broker.core.words import Family, LeaseState, ProbeResult
from broker.ports.errors import StoreUnavailableError
from broker.ports.mark_store import MarkKind
from broker.services.acquisition import AcquireRequest
from broker.services.errors import InvalidFieldError, KeyUnknownError
from broker.services.standing import KeyState
from broker.services.watching import Death, DeathCause, Synced
from tests.unit.services.status_given import GPT, Desk, a_desk, a_key, whole

FOR_ACME = AcquireRequest(GPT, "acme")


@pytest.fixture
async def desk() -> Desk:
    """A tenant's key, which is never at hand while nobody uses it."""
    desk = await a_desk(a_key("s1"), tenancy=Tenancy(cache_size=0))
    await desk.keep("t1")
    return desk


async def test_a_tenants_key_is_disabled_until_it_is_enabled(desk: Desk) -> None:
    await desk.administration.disable_key("ops", "t1", "leaked")
    assert await desk.leased_for() == "ALL_DISABLED"
    assert (await desk.inventory.key("t1")).state is KeyState.DISABLED
    await desk.administration.enable_key("ops", "t1")
    assert await desk.leased_for() == "t1"


async def test_leases_on_a_tenants_key_are_revoked(desk: Desk) -> None:
    grant = await desk.granted(FOR_ACME)
    desk.clock.advance(1)
    await desk.administration.revoke("ops", MarkKind.KEY_REVOKED, "t1", "")
    assert desk.core.leasing.state(grant.claims, desk.clock.now()) is LeaseState.KEY_UNUSABLE


async def test_circuits_over_a_tenants_key_are_cleared(desk: Desk) -> None:
    key = (await desk.granted(FOR_ACME)).key
    await desk.fail(whole(key), Family.CREDENTIAL)
    assert await desk.leased_for() == "QUARANTINED"
    await desk.clearing.clear("ops", whole(key)._replace(provider="", revision=""), None)
    assert await desk.leased_for() == "t1"


async def test_a_probe_has_the_tenant_at_hand_until_its_result_acts(desk: Desk) -> None:
    key = (await desk.granted(FOR_ACME)).key
    await desk.fail(whole(key), Family.CREDENTIAL)
    desk.clock.advance(1)
    (done,) = [done async for done in desk.upkeep.probe("", ("t1",))]
    assert done.probed.result is ProbeResult.AUTHENTICATED
    assert await desk.leased_for() == "t1"
    assert desk.core.tenants.cost == 0


async def test_all_keys_means_all_system_keys(desk: Desk) -> None:
    done = [done async for done in desk.upkeep.probe("openai", ())]
    assert [entry.key.key_id for entry in done] == ["s1"]


async def test_a_key_that_cannot_be_opened_is_not_probed_and_the_others_are() -> None:
    desk = await a_desk()
    await desk.keep("t1")
    closed = await a_desk(a_key("s1"), store=desk.store, sealer=ClosedSealer("it is missing"))
    results = {d.key.key_id: d.probed async for d in closed.upkeep.probe("", ("t1", "s1"))}
    assert results["t1"].result is ProbeResult.INCONCLUSIVE
    assert "cannot be opened" in results["t1"].detail
    assert results["s1"].result is ProbeResult.AUTHENTICATED
    assert [key_id for key_id, _ in closed.prober.calls] == ["s1"]


async def test_what_is_not_there_is_unknown_and_what_cannot_be_looked_up_a_fault(
    desk: Desk,
) -> None:
    with pytest.raises(KeyUnknownError):
        await desk.administration.disable_key("ops", "t9", "")
    with pytest.raises(InvalidFieldError):
        _ = [done async for done in desk.upkeep.probe("groq", ("t1",))]
    desk.store.is_down = True
    with pytest.raises(StoreUnavailableError):
        await desk.administration.disable_key("ops", "t1", "")
    await desk.administration.disable_key("ops", "s1", "")


async def test_who_does_not_use_a_tenants_key_hears_nothing_of_it(desk: Desk) -> None:
    await desk.granted(FOR_ACME)
    await desk.administration.disable_key("ops", "t1", "")
    assert desk.core.keyring.find("t1") is None
    user, stranger = (desk.core.watching.watch(name) for name in ("gateway", "stranger"))
    assert isinstance(await anext(user), Synced)
    death = await anext(user)
    assert isinstance(death, Death)
    assert (death.cause, death.key_id) == (DeathCause.DISABLED, "t1")
    assert isinstance(await anext(stranger), Synced)
    await desk.administration.revoke("ops", MarkKind.PRINCIPAL_REVOKED, "stranger", "")
    heard = await anext(stranger)
    assert isinstance(heard, Death)
    assert heard.cause is DeathCause.REVOKED
    await user.aclose()
    await stranger.aclose()
