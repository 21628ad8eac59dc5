"""Sealed keys move to another broker whole, and open nowhere but where they belong."""

from dataclasses import replace

import pytest

from broker.adapters.seal import AesSealer
from broker.core.key import KeyLimits, KeySettings
from broker.core.sealed import SealedSecret
from broker.core.secret import Secret
from broker.ports.key_store import StoredKey, StoredRevision
from broker.services.import_secrets import ImportSecrets
from broker.services.opening import binding_of
from broker.services.sealing import Sealing
from tests.fakes import START
from tests.unit.services.importing_given import exported, faulty, imported, kept, new
from tests.unit.services.status_given import Desk, a_desk

SETTINGS = KeySettings(
    models={"gpt-*": "", "mine": "deployment"},
    weight=2.5,
    priority=-1,
    limits=KeyLimits(3, 60, 10**12),
    account="main",
    base_url="https://eu.example/v1",
)
KEY = bytes(32)


async def stored(desk: Desk, key_id: str) -> StoredKey:
    found = await desk.store.key(key_id)
    assert found is not None
    return found


async def a_rotated_key(desk: Desk) -> StoredKey:
    """A key with two revisions, of which the older is proved."""
    await desk.keep("t1", secret="sk-old", settings=SETTINGS)
    desk.core.probing.start_due()
    (first,) = (await stored(desk, "t1")).revisions
    await desk.store.note_authenticated("t1", first.revision, START + 1)
    desk.clock.advance(5)
    await desk.keeping.rotate("ops", "t1", Secret("sk-new"))
    return await stored(desk, "t1")


async def secrets_of(desk: Desk, key: StoredKey) -> list[str]:
    sealer = desk.core.world.sealer
    return [
        (await sealer.open(revision.sealed, binding_of(key, revision))).reveal()
        for revision in key.revisions
    ]


async def another_desk(sealing_key: bytes, *others: bytes) -> Desk:
    """A broker with keys of its own, which names secrets in its own way."""
    desk = await a_desk(sealer=AesSealer.of_keys(sealing_key, *others))
    importing = desk.servicers.admin.importing
    sealing = Sealing(desk.core.world.sealer, desk.clock, b"another fingerprint secret")
    object.__setattr__(importing, "secrets", ImportSecrets(sealing))
    desk.clock.advance(100)
    return desk


async def test_an_exported_key_is_the_same_at_another_broker() -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = await a_rotated_key(here)
    there = await another_desk(b"own".ljust(32), KEY)
    assert (await imported(there, exported(given))).created == 1
    taken = await stored(there, "t1")
    assert (taken.tenant, taken.provider, taken.settings) == ("acme", "openai", SETTINGS)
    assert await secrets_of(there, taken) == ["sk-new", "sk-old"]
    times = [(one.created_at, one.authenticated_at) for one in taken.revisions]
    assert times == [(one.created_at, one.authenticated_at) for one in given.revisions]
    assert times[1] == (START, START + 1)
    assert taken.created_at == there.clock.now()


async def test_what_is_taken_is_named_and_sealed_as_this_broker_does() -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = await a_rotated_key(here)
    there = await another_desk(b"own".ljust(32), KEY)
    await imported(there, exported(given))
    own = AesSealer.of_keys(b"own".ljust(32)).current
    for one, before in zip((await stored(there, "t1")).revisions, given.revisions, strict=True):
        assert one.revision != before.revision
        assert one.sealed.sealed_by == own != before.sealed.sealed_by


async def test_a_sealed_secret_is_the_same_secret_as_one_in_the_clear() -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = await a_rotated_key(here)
    there = await another_desk(KEY)
    done = await imported(there, new("sk-old", "mine"), exported(given))
    assert faulty(done) == {2: "secret: line 1 has the same for this tenant and provider"}
    assert (await imported(there, new("sk-old", "mine"))).created == 1
    done = await imported(there, exported(given))
    assert list(faulty(done)) == [1]


OTHER = SealedSecret("0123456789abcdef", bytes(60), bytes(60))


@pytest.mark.parametrize(
    "moved",
    [
        {"tenant": "bravo"},
        {"provider": "groq"},
        {"key_id": "t2"},
        {"settings": replace(SETTINGS, base_url="https://evil.example/v1")},
        {"settings": KeySettings()},
        {"revisions": (StoredRevision("aa", OTHER, START),)},
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_was_moved_or_sealed_by_a_stranger_does_not_open(
    moved: dict[str, object], *, dry_run: bool
) -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = exported(await a_rotated_key(here))
    there = await another_desk(KEY)
    changed = replace(given, **moved)  # type: ignore[arg-type]
    done = await imported(there, changed, new("sk-fine"), dry_run=dry_run)
    assert list(faulty(done)) == [1]
    assert faulty(done)[1].startswith("sealed: does not open")
    assert await kept(there) == []


async def test_settings_that_nothing_is_sealed_with_may_be_changed() -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = exported(await a_rotated_key(here))
    there = await another_desk(KEY)
    settings = replace(SETTINGS, weight=9.0, account="other", models={})
    assert (await imported(there, replace(given, settings=settings))).created == 1
    assert (await stored(there, "t1")).settings == settings


async def test_one_secret_in_two_revisions_is_refused() -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = await a_rotated_key(here)
    there = await another_desk(KEY)
    twice = replace(exported(given), revisions=(*given.revisions, given.revisions[0]))
    assert "two revisions" in faulty(await imported(there, twice))[1]


async def test_times_that_are_still_to_come_are_now() -> None:
    here = await a_desk(sealer=AesSealer.of_keys(KEY))
    given = await a_rotated_key(here)
    there = await another_desk(KEY)
    late = START + 10**6
    revisions = [replace(one, created_at=late, authenticated_at=late) for one in given.revisions]
    await imported(there, replace(exported(given), revisions=tuple(revisions)))
    for one in (await stored(there, "t1")).revisions:
        assert (one.created_at, one.authenticated_at) == (there.clock.now(), there.clock.now())
