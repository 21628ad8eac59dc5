"""Sealing keys of two brokers on one PostgreSQL, and rows there that somebody moved or flipped."""

import asyncio
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from psycopg.sql import SQL

from broker.adapters.keyfiles import KeyFile, Purpose
from broker.adapters.seal import AesKeyWrapper
from broker.app import App
from broker.app.servicers import make_servicers
from broker.catalog import load_catalog
from broker.core.denial import Target
from broker.core.secret import Secret
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.errors import InvalidFieldError, SealingKeyMissingError
from broker.services.keeping import Keeping, NewKey
from broker.services.principal import Principal, Role
from broker.services.seal_walk import SealProgress
from tests.integration.sql.test_two_brokers import a_broker
from tests.postgres import execute, new_database

GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
TENANTS = tuple(f"tenant-{number}" for number in range(30))


def keeping(app: App) -> Keeping:
    return make_servicers(app.core, load_catalog()).admin.keeping


async def leased(app: App, tenant: str) -> str:
    request = AcquireRequest(Target("openai", "gpt-4o"), tenant)
    answer = await app.core.leasing.acquire(GATEWAY, request)
    return answer.key.secret.reveal() if isinstance(answer, Grant) else answer.reason.value


async def fill(app: App) -> None:
    for tenant in TENANTS:
        new = NewKey(tenant, "openai", Secret(f"sk-{tenant}"), f"{tenant}-1")
        await keeping(app).create("ops", new)


async def rotated(app: App, key_id: str = "") -> SealProgress:
    progress = [each async for each in app.core.seal.resealing.rotate("ops", key_id)]
    return progress[-1]


async def lease_on(app: App) -> None:
    """Lease for all of them again and again, each time read and opened anew."""
    while True:
        for tenant in TENANTS:
            app.core.tenants.doubt(tenant)
            assert await leased(app, tenant) == f"sk-{tenant}"
        await asyncio.sleep(0)


def ids_in(path: Path) -> list[str]:
    return [AesKeyWrapper(key).key_id for key in KeyFile(path, Purpose.SEAL).read() or ()]


async def test_a_fleet_rotates_once_every_broker_has_the_key_and_leases_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name / "seal.key" for name in ("here", "there")]
    KeyFile(files[0], Purpose.SEAL).obtain()
    files[1].parent.mkdir()
    shutil.copy(files[0], files[1])
    async with (
        new_database() as url,
        a_broker(url, "here", files[0]) as here,
        a_broker(url, "there", files[1]) as there,
    ):
        await fill(here)
        with pytest.raises(InvalidFieldError, match="key_id: name the key"):
            await rotated(here)
        KeyFile(files[0], Purpose.SEAL).append()
        old, new = ids_in(files[0])
        with monkeypatch.context() as patched:
            patched.setattr("broker.services.seal_fleet.TAKES_UP_S", 1.0)
            with pytest.raises(SealingKeyMissingError, match="not at hand at there"):
                await rotated(here, new)
        [_, shown] = sorted((await here.core.seal.report.now()).keys, key=lambda k: k.key_id == new)
        assert (shown.is_at_hand, shown.missing_at) == (True, ("there",))
        shutil.copy(files[0], files[1])
        leasing = [asyncio.create_task(lease_on(app)) for app in (here, there)]
        before = await execute(SQL("SELECT count(*) FROM changes WHERE topic = 'tenant'"), url)
        done = await rotated(here, new)
        assert before == await execute(
            SQL("SELECT count(*) FROM changes WHERE topic = 'tenant'"), url
        ), "sealing anew is no change of tenants: nobody has to read them again"
        assert (done.done, done.unreadable) == (len(TENANTS), ())
        await keeping(there).create("ops", NewKey("late", "openai", Secret("sk-late"), "late-1"))
        assert await there.core.world.sealed_rows.counts() == {new: len(TENANTS) + 1}
        assert old in there.core.world.sealer.ids
        for task in leasing:
            assert not task.done()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_rows_that_were_moved_or_flipped_are_refused_and_named_and_others_untouched(
    tmp_path: Path,
) -> None:
    seal = tmp_path / "seal.key"
    KeyFile(seal, Purpose.SEAL).obtain()
    async with new_database() as url, a_broker(url, "here", seal) as here:
        await fill(here)
        await execute(SQL(_FLIP), url)
        await execute(SQL(_SWAP), url)
        here.core.tenants.doubt(*TENANTS)
        answers = Counter([await leased(here, tenant) for tenant in TENANTS[:3]])
        assert answers == {"TENANT_KEY_UNUSABLE": 3}
        for tenant in TENANTS[3:]:
            assert await leased(here, tenant) == f"sk-{tenant}"
        page, _ = await here.core.world.history.page(before=None, limit=1000)
        told = sorted(event.key_id for event in page if event.kind == "key_unreadable")
        assert told == [f"{tenant}-1" for tenant in TENANTS[:3]]
        verified = [each async for each in here.core.seal.report.verify()][-1]
        assert [row.name.key_id for row in verified.unreadable] == told


_FLIP = """
UPDATE key_revisions SET ciphertext = set_bit(ciphertext, 100, 1 - get_bit(ciphertext, 100))
WHERE key_id = 'tenant-0-1'
"""
_SWAP = """
UPDATE key_revisions AS mine SET wrapped_key = theirs.wrapped_key, ciphertext = theirs.ciphertext
FROM key_revisions AS theirs
WHERE (mine.key_id, theirs.key_id) IN (('tenant-1-1', 'tenant-2-1'), ('tenant-2-1', 'tenant-1-1'))
"""
