"""Keys, policies, facts and marks as the tests of the database need them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from broker.core.facts import CallFailed
from broker.core.key import KeySettings
from broker.core.scope import key_scope
from broker.core.sealed import SealedSecret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.core.words import Evidence, Family, Kind
from broker.ports.event_history import Event
from broker.ports.key_store import StoredKey, StoredRevision
from broker.ports.last_good import LastGood
from broker.ports.mark_store import Mark, MarkKind
from tests.fakes import START

SEALED = SealedSecret("0123456789abcdef", b"wrapped", b"ciphertext")
POLICY = TenantPolicy("acme", "openai", PolicyMode.TENANT_ONLY, set_by="alice", set_at=START)
MARK = Mark(MarkKind.KEY_DISABLED, "openai/1", START, "alice", "leaked")
LAST_GOOD = LastGood("openai/1", "openai", "aa", SEALED, START)


def a_revision(name: str, at: float = START) -> StoredRevision:
    return StoredRevision(name, replace(SEALED, ciphertext=name.encode()), at)


def a_key(key_id: str, *names: str, tenant: str = "acme") -> StoredKey:
    revisions = tuple(map(a_revision, names or (f"revision of {key_id}",)))
    return StoredKey(key_id, tenant, "openai", KeySettings(), revisions, START, START)


def a_fact(fact_id: str, provider: str = "openai") -> CallFailed:
    return CallFailed(
        fact_id=fact_id,
        provider=provider,
        replica="r1",
        scope=key_scope(provider, "k1", "aa"),
        family=Family.CREDENTIAL,
        kind=Kind.INVALID_CREDENTIAL,
        evidence=Evidence.CERTAIN,
    )


def an_event(number: int, *, kind: str = "key_quarantined") -> Event:
    return Event(f"e{number}", START + number, kind, "openai", "what happened")


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, and proof that the file is whole."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = sorted(name for (name,) in named.fetchall() if not name.startswith("sqlite_"))
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)  # noqa: S608
            for name in names
        }


def damage(path: Path, table: str) -> None:
    """Overwrite a table's first page, below every cache."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, [table]).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
