"""Imports: each key as if it had been created, but all of them or none."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from broker.adapters.seal import AesSealer, ClosedSealer
from broker.core.key import KeySettings
from broker.core.sealed import Binding, SealedSecret
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.words import Family
from broker.ports.errors import SealClosedError, StoreUnavailableError
from broker.ports.key_store import FirstPolicies, StoredKey
from broker.services import import_check
from broker.services.errors import (
    ChangeUncertainError,
    ImportTooLargeError,
    InvalidFieldError,
)
from broker.services.import_lines import ImportPart
from tests.fakes import settle
from tests.unit.services.importing_given import answers, faulty, imported, kept, new, parts_of
from tests.unit.services.status_given import a_desk, a_key, whole
from tests.unit.services.tenants_given import FakeKeyStore
from tests.unit.services.test_keeping import events


async def test_imported_keys_are_kept_sealed_and_leased() -> None:
    desk = await a_desk(a_key("env/s1"))
    assert await desk.leased_for() == "env/s1"
    done = await imported(desk, new("sk-very-secret", "t1"), new("sk-2", "t2", "bravo"))
    assert (done.created, done.checked, done.faults) == (2, 2, ())
    assert await desk.leased_for("acme") == "t1"
    assert await desk.leased_for("bravo") == "t2"
    (revision,) = (await desk.store.page(after=("", ""), limit=1))[0].revisions
    assert b"very-secret" not in revision.sealed.ciphertext
    (policy,) = await desk.policies.of("bravo", "openai")
    assert (policy.mode, policy.set_by) == (PolicyMode.TENANT_ONLY, "ops")


async def test_a_policy_that_is_set_stays() -> None:
    desk = await a_desk(a_key("env/s1"))
    await desk.allow(PolicyMode.SYSTEM_ONLY)
    assert (await imported(desk, new("sk-1", "t1"))).created == 1
    assert await desk.leased_for() == "env/s1"


async def test_one_event_tells_who_imported_how_many_keys() -> None:
    desk = await a_desk()
    keys = [new(f"sk-{n}", tenant=f"tenant-{n % 2}") for n in range(3)]
    await imported(desk, *keys, new("sk-3", provider="groq"))
    (event,) = await events(desk, "keys_imported")
    assert (event.principal, event.provider) == ("ops", "")
    assert event.attributes == {"keys": "4", "tenants": "3", "by_provider": "openai=3,groq=1"}
    assert event.message == "imported by ops for 3 tenants: 3 of openai, 1 of groq"
    assert await events(desk, "key_created") == []


async def test_every_message_is_answered_with_how_far_it_is() -> None:
    desk = await a_desk()
    told = await answers(desk, *(new(f"sk-{n}") for n in range(7)))
    assert [answer.checked for answer in told] == [3, 6, 7, 7, 7]
    assert [answer.created for answer in told] == [0, 0, 0, 0, 7]


async def test_whatever_is_wrong_is_told_with_its_line_and_nothing_is_kept() -> None:
    desk = await a_desk(a_key("env/s1"))
    await desk.keep("old", secret="sk-old")
    done = await imported(
        desk,
        new("sk-1", "fine"),
        InvalidFieldError("settings.weight", "must be a number above 0, at most 1e9"),
        new("sk-3", provider="sk-secret-in-the-wrong-column"),
        new("sk-4", "old"),
        new("sk-old", "twin"),
        new("sk-6", "fine"),
        new("sk-1", "other"),
        new("acme"),
        new("main", settings=KeySettings(account="main")),
        new("sk-1", "not wrong", "bravo"),
        new("sk-1", "not wrong either", provider="groq"),
    )
    assert done.created == 0
    assert faulty(done) == {
        2: "settings.weight: must be a number above 0, at most 1e9",
        3: "provider: none of this name is configured",
        4: "key_id: there is a key 'old' already",
        5: "secret: key 'old' of this tenant and provider has the same already",
        6: "key_id: line 1 has the same",
        7: "secret: line 1 has the same for this tenant and provider",
        8: "secret: is also the key's id, its tenant or its account, which are no secrets",
        9: "secret: is also the key's id, its tenant or its account, which are no secrets",
    }
    assert await kept(desk) == ["old"]
    assert await events(desk, "keys_imported") == []


async def test_a_dry_run_checks_the_same_and_keeps_nothing() -> None:
    desk = await a_desk()
    await desk.keep("old", secret="sk-old")
    assert (await imported(desk, new("sk-1"), new("sk-2"), dry_run=True)).created == 2
    done = await imported(desk, new("sk-old"), new("sk-2", "old"), dry_run=True)
    assert (done.created, list(faulty(done))) == (0, [1, 2])
    assert await kept(desk) == ["old"]


async def test_importing_the_same_again_tells_of_each_line_and_makes_none_twice() -> None:
    desk = await a_desk()
    keys = [new(f"sk-{n}", tenant=f"tenant-{n}") for n in range(5)]
    assert (await imported(desk, *keys)).created == 5
    before = await kept(desk)
    done = await imported(desk, *keys)
    assert (done.created, list(faulty(done))) == (0, [1, 2, 3, 4, 5])
    assert await kept(desk) == before


async def test_a_thousand_faults_are_told_and_the_others_counted() -> None:
    desk = await a_desk()
    await desk.keep("old")
    done = await imported(desk, *(new(f"sk-{n}", "old") for n in range(1200)))
    assert (len(done.faults), done.untold) == (1000, 200)


async def test_what_comes_in_between_is_told_with_its_line() -> None:
    """The database decides: what was free when it was checked may be taken at the end."""
    desk = await a_desk()

    async def parts() -> AsyncIterator[ImportPart]:
        async for part in parts_of([new(f"sk-{n}", f"t{n}") for n in range(6)]):
            yield part
        await desk.keep("t4", secret="sk-another")

    told = [answer async for answer in desk.servicers.admin.importing.run("ops", parts())]
    assert told[-1].is_done
    assert faulty(told[-1]) == {5: "key_id: there is a key 't4' already"}
    assert await kept(desk) == ["t4"]

    async def more() -> AsyncIterator[ImportPart]:
        async for part in parts_of([new("sk-8", "t8"), new("sk-9", "t9")]):
            yield part
        await desk.keep("t7", secret="sk-9")

    told = [answer async for answer in desk.servicers.admin.importing.run("ops", more())]
    expected = "secret: key 't7' of this tenant and provider has the same already"
    assert faulty(told[-1]) == {2: expected}


async def test_a_caller_that_goes_away_before_its_last_message_changes_nothing() -> None:
    desk = await a_desk()
    importing = desk.servicers.admin.importing.run("ops", parts_of([new("sk-1"), new("sk-2")]))
    async with aclosing(importing) as running:
        await anext(running)
    await settle()
    assert await kept(desk) == []


async def test_a_stream_that_broke_off_changes_nothing_though_it_looks_like_its_end() -> None:
    """The answer after the last message is the first that does not go out."""
    desk = await a_desk()
    importing = desk.servicers.admin.importing.run("ops", parts_of([new("sk-1"), new("sk-2")]))
    async with aclosing(importing) as running:
        await anext(running)
        await anext(running)
    await settle()
    assert await kept(desk) == []


async def test_a_caller_that_goes_away_after_its_last_message_finds_it_made() -> None:
    desk = await a_desk()
    finish, gate = asyncio.Event(), asyncio.Event()
    create_all = desk.store.inner.create_all

    async def slow(keys: Sequence[StoredKey], first_policies: FirstPolicies) -> None:
        finish.set()
        await gate.wait()
        await create_all(keys, first_policies)

    desk.store.inner.create_all = slow  # type: ignore[method-assign]
    importing = asyncio.create_task(imported(desk, new("sk-1", "t1")))
    await finish.wait()
    importing.cancel()
    await settle()
    gate.set()
    await settle()
    assert importing.cancelled()
    assert await kept(desk) == ["t1"]
    assert len(await events(desk, "keys_imported")) == 1


@pytest.mark.parametrize("trouble", ["is_down", "takes_nothing"])
async def test_where_the_store_takes_nothing_that_is_told(trouble: str) -> None:
    store = FakeKeyStore()
    desk = await a_desk(store=store)
    setattr(store, trouble, True)
    with pytest.raises(StoreUnavailableError):
        await imported(desk, new("sk-1"), new("sk-2"))
    assert await kept(desk) == []


async def test_an_import_whose_answer_was_lost_is_looked_up() -> None:
    store = FakeKeyStore()
    desk = await a_desk(a_key("env/s1"), store=store)
    assert await desk.leased_for() == "env/s1"
    store.loses_answers = True
    assert (await imported(desk, new("sk-1", "t1"))).created == 1
    store.loses_answers = False
    assert await desk.leased_for() == "t1"


async def test_an_import_that_nobody_can_look_up_is_not_known_to_be_made() -> None:
    store = FakeKeyStore()
    desk = await a_desk(store=store)
    store.loses_answers = store.dies_of_changes = True
    with pytest.raises(ChangeUncertainError, match="whether the keys were created is not known"):
        await imported(desk, new("sk-1", "t1"))
    store.is_down = store.loses_answers = False
    assert await desk.leased_for() == "t1"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_sealed_broker_takes_nothing(*, dry_run: bool) -> None:
    desk = await a_desk(sealer=ClosedSealer("the key is gone"))
    with pytest.raises(SealClosedError):
        await imported(desk, new("sk-1"), dry_run=dry_run)


async def test_an_import_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = await a_desk()
    monkeypatch.setattr(import_check, "MAX_KEYS", 5)
    assert (await imported(desk, *(new(f"sk-{n}") for n in range(5)))).created == 5
    with pytest.raises(ImportTooLargeError) as error:
        await imported(desk, *(new(f"sk-1{n}") for n in range(6)))
    assert error.value.metadata == {"limit": "5"}
    monkeypatch.setattr(import_check, "MAX_BYTES", 150)
    with pytest.raises(ImportTooLargeError, match="150 bytes"):
        await imported(desk, *(new(f"sk-1{n}") for n in range(4)))
    assert len(await kept(desk)) == 5


async def test_nothing_to_import_is_no_change() -> None:
    desk = await a_desk()
    done = await imported(desk)
    assert (done.created, done.checked) == (0, 0)
    assert await events(desk, "keys_imported") == []


async def test_a_key_that_was_deleted_takes_its_quarantine_along() -> None:
    desk = await a_desk()
    await desk.keep("t1", secret="sk-1")
    held = desk.core.keyring.key("t1")
    await desk.keeping.delete("ops", "t1")
    await desk.fail(whole(held), Family.CREDENTIAL)
    assert (await imported(desk, new("sk-1", "t1"), new("sk-2", "t2", "bravo"))).created == 2
    assert await desk.leased_for() == "t1"


class SlowSealer(AesSealer):
    """Keeps each seal waiting, as a service does."""

    under_way = most = 0

    async def seal(self, secret: Secret, binding: Binding) -> SealedSecret:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.under_way -= 1
        return await super().seal(secret, binding)


async def test_few_secrets_are_sealed_side_by_side_and_all_are_kept() -> None:
    sealer = SlowSealer.of_keys(bytes(32))
    desk = await a_desk(sealer=sealer)
    parts = parts_of([new(f"sk-{n}", f"t{n:03}") for n in range(200)], size=200)
    told = [answer async for answer in desk.servicers.admin.importing.run("ops", parts)]
    assert told[-1].created == 200
    assert 1 < sealer.most <= 16
    assert len(await kept(desk)) == 200


async def test_others_run_while_many_keys_are_taken() -> None:
    desk = await a_desk()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(others())
    parts = parts_of([new(f"sk-{n}") for n in range(500)], size=500)
    async with aclosing(desk.servicers.admin.importing.run("ops", parts)) as running:
        await anext(running)
    counting.cancel()
    assert turns >= 500 // 16
