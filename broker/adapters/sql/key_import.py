"""Many new keys in one transaction, and what would be in their way.

All rows are made before it begins: SQLite takes no other change while it lasts. They go in sorted,
table by table, so that of two imports one waits for the other, and never each for the other.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import IntegrityError

from broker.adapters.sql.rows import Values, policy_values, revision_values, settings_values
from broker.adapters.sql.schema import KEY_REVISIONS, KEYS, TENANT_POLICIES
from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import FirstPolicies, KeyNames, StoredKey

WITHIN_S = 120.0
"""How long an import may take: about a hundred times what the largest one does."""

ASKED_AT_ONCE = 500
"""Names that one statement asks for."""

ROWS_AT_ONCE = 200
"""Rows that are made, sorted or given to the driver before other threads have their turn."""

TURN_S = 0.0002
"""How long a turn is: without one, each step of the event loop would wait for the interpreter."""

POLICIES_AT_ONCE = 5000
"""Policies of one statement, which may have some 32,000 values."""

T = TypeVar("T")
Rows: TypeAlias = list[tuple[Any, ...]]
RevisionName: TypeAlias = tuple[str, ...]
"""Whose, which provider's, and its fingerprint."""


@dataclass(frozen=True, slots=True)
class PreparedKeys:
    """The rows of new keys, each table's in order; and what must be new about the keys."""

    keys: Rows
    revisions: Rows
    policies: Rows
    names: list[KeyNames]


def prepare(keys: Iterable[StoredKey], first_policies: FirstPolicies) -> PreparedKeys:
    """Make the rows."""
    rows, revisions, names = Rows(), Rows(), list[KeyNames]()
    policies = dict[tuple[str, str], tuple[Any, ...]]()
    for key in _with_turns(keys):
        rows.append(_row(KEYS, key_values(key)))
        for rank, revision in enumerate(reversed(key.revisions)):
            revisions.append(_row(KEY_REVISIONS, revision_values(key, revision, rank)))
        if (key.tenant, key.provider) not in policies:
            first = policy_values(first_policies(key))
            policies[key.tenant, key.provider] = _row(TENANT_POLICIES, first)
        names.append(names_of(key))
    by_id = _in_order(rows, _places(KEYS, "key_id"))
    by_name = _in_order(revisions, _places(KEY_REVISIONS, "tenant", "provider", "revision"))
    by_pool = _in_order(list(policies.values()), _places(TENANT_POLICIES, "tenant", "provider"))
    return PreparedKeys(by_id, by_name, by_pool, names)


def insert_all(connection: Connection, new: PreparedKeys) -> None:
    """Insert keys, revisions, and policies where a tenant and provider have none.

    Raises KeyTakenError and DuplicateSecretError.
    """
    try:
        with connection.begin_nested():
            _insert(connection, KEYS, new.keys)
            _insert(connection, KEY_REVISIONS, new.revisions)
    except IntegrityError:
        refusal = _refusal(connection, new.names)
        if refusal is None:
            raise
        raise refusal from None
    _insert_if_new(connection, TENANT_POLICIES, new.policies)


def find_clashes(connection: Connection, wanted: Collection[KeyNames]) -> dict[str, str]:
    """The keys that are in the way of new ones, by the id of the new one."""
    found = dict[str, str]()
    for part in _parts(list(wanted), ASKED_AT_ONCE):
        held: dict[RevisionName, str] = {
            (names.tenant, names.provider, revision): names.key_id
            for names in part
            for revision in names.revisions
        }
        for some in _parts(list(held), ASKED_AT_ONCE):
            for *name, key_id in _holders(connection, some):
                found[held[tuple(name)]] = key_id
        ids = select(KEYS.c.key_id).where(KEYS.c.key_id.in_([names.key_id for names in part]))
        found |= {key_id: key_id for key_id in connection.scalars(ids)}
    return found


def _holders(connection: Connection, names: Sequence[RevisionName]) -> Iterable[Sequence[Any]]:
    """Those of some revisions that are kept, each with its key.

    The join is written in this order for SQLite, which would read the whole table for a long `IN`.
    """
    mark = _mark(connection)
    rows = ", ".join([f"({mark}, {mark}, {mark})"] * len(names))
    statement = f"""
        WITH wanted(tenant, provider, revision) AS (VALUES {rows})
        SELECT kept.tenant, kept.provider, kept.revision, kept.key_id
        FROM wanted CROSS JOIN {KEY_REVISIONS.name} AS kept
        WHERE kept.tenant = wanted.tenant
        AND kept.provider = wanted.provider AND kept.revision = wanted.revision
    """  # noqa: S608 - only marks and a table's name
    return connection.exec_driver_sql(statement, tuple(chain.from_iterable(names)))


def key_values(key: StoredKey) -> Values:
    """A key as columns, without its revisions."""
    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "provider": key.provider,
        "created_at": key.created_at,
        "updated_at": key.updated_at,
        **settings_values(key.settings),
    }


def names_of(key: StoredKey) -> KeyNames:
    """What must be new about a key."""
    names = tuple(revision.revision for revision in key.revisions)
    return KeyNames(key.key_id, key.tenant, key.provider, names)


def refusal_of(wanted: str, holder: str) -> KeyTakenError | DuplicateSecretError:
    """The error for a key that another one is in the way of."""
    if wanted == holder:
        return KeyTakenError(f"there is a key {wanted} already", wanted)
    return DuplicateSecretError(holder, wanted)


def _refusal(connection: Connection, names: Sequence[KeyNames]) -> Exception | None:
    """Which key a constraint refused, and why: one that is kept is in its way, or another one."""
    ids = set[str]()
    holders = dict[RevisionName, str]()
    for part in _parts(names, ASKED_AT_ONCE):
        for wanted, holder in find_clashes(connection, part).items():
            return refusal_of(wanted, holder)
        for key in part:
            if key.key_id in ids:
                return refusal_of(key.key_id, key.key_id)
            ids.add(key.key_id)
            for revision in key.revisions:
                name = (key.tenant, key.provider, revision)
                if holders.setdefault(name, key.key_id) != key.key_id:
                    return refusal_of(key.key_id, holders[name])
    return None


def _insert(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows as the driver takes them: many times as fast as by way of their names."""
    if connection.dialect.name == "postgresql":
        from broker.adapters.sql.copying import copy_in  # noqa: PLC0415 - needs a driver to import

        copy_in(connection, table, rows)
        return
    statement = f"{_into(table)} VALUES {_marks(connection, table)}"
    for part in _parts(rows, ROWS_AT_ONCE):
        connection.exec_driver_sql(statement, part)
        time.sleep(TURN_S)


def _insert_if_new(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows whose primary keys are not there."""
    marks = _marks(connection, table)
    for part in _parts(rows, POLICIES_AT_ONCE):
        values = ", ".join([marks] * len(part))
        statement = f"{_into(table)} VALUES {values} ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(statement, tuple(chain.from_iterable(part)))


def _into(table: Table) -> str:
    return f"INSERT INTO {table.name} ({', '.join(column.name for column in table.columns)})"


def _marks(connection: Connection, table: Table) -> str:
    """What stands for the values of a row."""
    return f"({', '.join([_mark(connection)] * len(table.columns))})"


def _mark(connection: Connection) -> str:
    """What stands for a parameter."""
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


def _row(table: Table, values: Values) -> tuple[Any, ...]:
    return tuple(values[column.name] for column in table.columns)


def _places(table: Table, *names: str) -> tuple[int, ...]:
    """Where columns stand in a row."""
    columns = [column.name for column in table.columns]
    return tuple(columns.index(name) for name in names)


def _in_order(rows: Rows, places: tuple[int, ...]) -> Rows:
    """The rows sorted, some at a time: one sort of all of them would hold up every thread."""

    def place(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(row[index] for index in places)

    parts = (sorted(part, key=place) for part in _parts(rows, ROWS_AT_ONCE))
    return list(_with_turns(merge(*parts, key=place)))


def _with_turns(items: Iterable[T]) -> Iterator[T]:
    """The items, with turns for other threads between some of them."""
    for number, item in enumerate(items):
        if number % ROWS_AT_ONCE == 0:
            time.sleep(TURN_S)
        yield item


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
