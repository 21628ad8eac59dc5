"""Keys that operators give: durable before the answer, in force at it, and whole or not at all."""

from dataclasses import replace

import pytest

from broker.app.world import Tenancy
from broker.core.key import KeySettings
from broker.core.revisions import Stage
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.words import Family
from broker.ports.event_history import Event
from broker.services.acquisition import AcquireRequest
from broker.services.errors import (
    InvalidFieldError,
    KeyDuplicateError,
    KeyExistsError,
    KeySourceOwnedError,
    KeyUnknownError,
    ProviderUnknownError,
)
from broker.services.watching import Death, DeathCause
from tests.fakes import settle
from tests.unit.services.status_given import GATEWAY, GPT, Desk, a_desk, a_key, whole

SYSTEM = a_key("env/s1")


async def events(desk: Desk, *kinds: str) -> list[Event]:
    page, _ = await desk.core.world.history.page(before=None, limit=100, kinds=frozenset(kinds))
    return list(reversed(page))


async def probe(desk: Desk) -> None:
    """Let what was asked for be probed."""
    desk.core.probing.start_due()
    await settle()


async def test_a_created_key_is_kept_sealed_leased_probed_and_told() -> None:
    desk = await a_desk(SYSTEM)
    kept = await desk.keep("t1", secret="sk-very-secret")
    assert await desk.leased_for() == "t1"
    assert b"sk-very-secret" not in kept.revisions[0].sealed.ciphertext
    await probe(desk)
    assert ("t1", kept.revisions[0].revision) in desk.prober.calls
    (event,) = await events(desk, "key_created")
    assert (event.key_id, event.principal, event.provider) == ("t1", "ops", "openai")
    assert "sk-very-secret" not in repr(event)
    (policy,) = await desk.policies.of("acme", "openai")
    assert (policy.mode, policy.set_by) == (PolicyMode.TENANT_ONLY, "ops")


async def test_a_key_without_an_id_is_given_one() -> None:
    desk = await a_desk()
    made = [await desk.keep("", secret=f"sk-{number}") for number in range(2)]
    assert len({key.key_id for key in made}) == 2


async def test_a_later_key_leaves_the_policy_as_it_is() -> None:
    desk = await a_desk(SYSTEM)
    await desk.allow(PolicyMode.SYSTEM_ONLY)
    await desk.keep("t1")
    assert await desk.leased_for() == "env/s1"


async def test_ids_and_secrets_are_taken_once() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1", secret="sk-one")
    with pytest.raises(KeyExistsError):
        await desk.keep("t1", secret="sk-two")
    with pytest.raises(KeyExistsError):
        await desk.keep("env/s1")
    with pytest.raises(KeyDuplicateError) as fault:
        await desk.keep("t2", secret="sk-one")
    assert fault.value.metadata == {"key_id": "t2", "duplicate_of": "t1"}
    await desk.keep("t3", tenant="other", secret="sk-one")
    await desk.keep("t4", provider="groq", secret="sk-one")
    with pytest.raises(ProviderUnknownError):
        await desk.keep("t5", provider="opnai")


@pytest.mark.parametrize("secret", ["t1", "acme", "main"])
async def test_a_secret_that_is_also_a_name_is_refused(secret: str) -> None:
    desk = await a_desk()
    with pytest.raises(InvalidFieldError) as fault:
        await desk.keep("t1", secret=secret, settings=KeySettings(account="main"))
    assert fault.value.metadata["field"] == "secret"
    await desk.keep("t1", settings=KeySettings(account="main"))
    with pytest.raises(InvalidFieldError):
        await desk.keeping.rotate("ops", "t1", Secret(secret))


async def test_an_account_that_is_the_secret_is_refused() -> None:
    desk = await a_desk()
    await desk.keep("t1", secret="sk-one")
    with pytest.raises(InvalidFieldError) as fault:
        await desk.keeping.update(
            "ops", "t1", lambda old: replace(old, account="sk-one"), "account"
        )
    assert fault.value.metadata["field"] == "settings.account"
    assert "sk-one" not in str(fault.value)


async def test_updated_settings_are_in_force_at_the_answer() -> None:
    desk = await a_desk()
    await desk.keep("t1")
    only_mini = KeySettings(models={"gpt-mini": ""})
    await desk.keeping.update("ops", "t1", lambda _old: only_mini, "models")
    assert await desk.leased_for() == "MODEL_NOT_ALLOWED"
    (event,) = await events(desk, "key_updated")
    assert event.attributes == {"tenant": "acme", "fields": "models"}


async def test_system_keys_are_their_sources_and_unknown_ones_nobodys() -> None:
    desk = await a_desk(SYSTEM)
    for key_id, error in (("env/s1", KeySourceOwnedError), ("t9", KeyUnknownError)):
        with pytest.raises(error):
            await desk.keeping.update("ops", key_id, lambda old: old, "weight")
        with pytest.raises(error):
            await desk.keeping.rotate("ops", key_id, Secret("sk-new"))
        with pytest.raises(error):
            await desk.keeping.delete("ops", key_id)


async def test_a_new_secret_waits_to_be_proved() -> None:
    desk = await a_desk()
    kept = await desk.keep("t1")
    await probe(desk)
    rotated = await desk.keeping.rotate("ops", "t1", Secret("sk-new"))
    old, new = kept.revisions[0].revision, rotated.revisions[0].revision
    view = await desk.inventory.show(rotated)
    assert [(one.revision, one.stage) for one in view.revisions] == [
        (new, Stage.INCOMING),
        (old, Stage.IN_USE),
    ]
    await probe(desk)
    view = await desk.inventory.key("t1")
    assert [one.stage for one in view.revisions] == [Stage.IN_USE, Stage.DRAINING]


async def test_a_secret_that_was_never_used_goes_with_the_next_one() -> None:
    desk = await a_desk()
    kept = await desk.keep("t1")
    await probe(desk)
    await desk.keeping.rotate("ops", "t1", Secret("sk-bogus"))
    await desk.keeping.rotate("ops", "t1", Secret("sk-right"))
    await desk.core.rotating.stored.save()
    stored = await desk.store.key("t1")
    assert stored is not None
    assert len(stored.revisions) == 2
    assert stored.revisions[1].revision == kept.revisions[0].revision


async def test_a_secret_that_was_replaced_and_comes_back_is_not_dropped() -> None:
    """Its removal is due, waits for the store, and must not hit the secret that is new again."""
    desk = await a_desk(tenancy=Tenancy(cache_size=0))
    await desk.keep("t1")
    async with desk.core.tenants.using("acme"):
        await probe(desk)
        bogus = (await desk.keeping.rotate("ops", "t1", Secret("sk-two"))).revisions[0].revision
        await desk.keeping.rotate("ops", "t1", Secret("sk-three"))
        desk.core.rotating.noticed("t1")
    back = await desk.keeping.rotate("ops", "t1", Secret("sk-two"))
    assert back.revisions[0].revision == bogus
    assert desk.core.keyring.find("t1") is None
    await desk.core.rotating.stored.save()
    stored = await desk.store.key("t1")
    assert stored is not None
    assert stored.revisions[0].revision == bogus


async def test_rotating_to_the_newest_secret_changes_nothing() -> None:
    desk = await a_desk()
    kept = await desk.keep("t1", secret="sk-one")
    assert await desk.keeping.rotate("ops", "t1", Secret("sk-one")) == kept
    assert await events(desk, "key_rotated") == []


async def test_rotating_to_the_same_secret_mends_a_key_that_cannot_be_opened() -> None:
    desk = await a_desk()
    kept = await desk.keep("t1", secret="sk-one")
    broken = replace(kept.revisions[0].sealed, ciphertext=b"\0" * 64)
    await desk.store.add_revision("t1", replace(kept.revisions[0], sealed=broken))
    await desk.core.tenants.reload("acme")
    assert await desk.leased_for() == "TENANT_KEY_UNUSABLE"
    assert (await desk.inventory.key("t1")).state == "unreadable"
    await desk.keeping.rotate("ops", "t1", Secret("sk-one"))
    assert await desk.leased_for() == "t1"


async def test_a_deleted_key_leaves_nothing_behind() -> None:
    desk = await a_desk(SYSTEM)
    await desk.keep("t1")
    key = (await desk.granted(AcquireRequest(GPT, "acme"))).key
    await desk.fail(whole(key), Family.CREDENTIAL)
    await desk.administration.disable_key("ops", "t1", "leaked")
    news = desk.core.watching.watch(GATEWAY.name)
    _ = [await anext(news) for _ in range(3)]
    await desk.keeping.delete("boss", "t1")
    death = await anext(news)
    assert isinstance(death, Death)
    assert (death.cause, death.key_id) == (DeathCause.REMOVED, "t1")
    assert desk.core.marks.all() == []
    assert list(desk.core.health.circuits()) == []
    assert await desk.leased_for() == "NO_KEYS"
    (event,) = await events(desk, "key_deleted")
    assert event.principal == "boss"
    await news.aclose()
    with pytest.raises(KeyUnknownError):
        await desk.inventory.key("t1")
