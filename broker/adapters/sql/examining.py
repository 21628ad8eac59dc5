"""What is to be said of a database before a broker is started on it, one finding a question."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from broker.adapters.sql.last_good_store import find_sealing_keys
from broker.adapters.sql.migrating import recognise
from broker.adapters.sql.migrations import triggers
from broker.adapters.sql.schema import METADATA, REVISION
from broker.adapters.sql.upgrading import connected
from broker.ports.errors import StoreUnavailableError, StoreUnusableError


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question; with a `fault` a broker would not work, or not well."""

    name: str
    detail: str
    fault: str = ""


def examine(location: Path | str, password: str | None = None) -> tuple[Finding, ...]:
    """Every question's answer, up to the first that leaves the others without sense.

    Changes nothing. Raises nothing of its own: that the database is away is a finding as well.
    """
    findings: list[Finding] = []
    try:
        with connected(location, password) as connection:
            findings.append(Finding("reachable", f"it is {connection.dialect.name}"))
            for finding in _questions(connection):
                findings.append(finding)
                if finding.fault and finding.name in _NEEDED:
                    break
    except StoreUnavailableError as error:
        findings.append(Finding("usable" if findings else "reachable", "", str(error)))
    except StoreUnusableError as error:
        findings.append(Finding("usable", "", str(error)))
    return tuple(findings)


_NEEDED = frozenset({"schema", "tables", "rights"})
"""Without them nothing more can be asked."""


def _questions(connection: Connection) -> Iterator[Finding]:
    is_postgresql = connection.dialect.name == "postgresql"
    if is_postgresql:
        yield _version(connection)
    yield _schema(connection)
    yield _tables(connection)
    if is_postgresql:
        yield _triggers(connection)
        yield _rights(connection)
        yield _writable(connection)
    keys = ", ".join(sorted(find_sealing_keys(connection)))
    yield Finding("sealing keys", f"rows are sealed by {keys}" if keys else "nothing is sealed")


def _version(connection: Connection) -> Finding:
    version = connection.scalar(text("SHOW server_version"))
    return Finding("server", f"PostgreSQL {version}")


def _schema(connection: Connection) -> Finding:
    found = recognise(connection)
    if found == REVISION:
        return Finding("schema", found)
    what = f"the schema is {found}" if found else "there are no tables yet"
    fault = f"{what}, and this version needs {REVISION}: run 'keybroker db upgrade'"
    return Finding("schema", found or "none", fault)


def _tables(connection: Connection) -> Finding:
    inspected, wrong = inspect(connection), []
    there = set(inspected.get_table_names())
    for table in METADATA.sorted_tables:
        if table.name not in there:
            wrong.append(f"{table.name} is missing")
            continue
        found = {column["name"] for column in inspected.get_columns(table.name)}
        wanted = {column.name for column in table.columns}
        wrong += [f"{table.name}.{name} is missing" for name in sorted(wanted - found)]
        wrong += [f"{table.name}.{name} is not ours" for name in sorted(found - wanted)]
    fault = f"{', '.join(wrong)}: restore a backup" if wrong else ""
    return Finding("tables", f"{len(METADATA.tables)} as this version knows them", fault)


def _triggers(connection: Connection) -> Finding:
    query = text(
        "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'keybroker_%' AND tgenabled <> 'D'"
    )
    missing = sorted(set(triggers.names()) - set(connection.scalars(query)))
    fault = (
        f"{', '.join(missing)} missing or disabled: other brokers do not learn of changes; make"
        " them again with 'keybroker db downgrade --to 0001' and 'keybroker db upgrade'"
        if missing
        else ""
    )
    return Finding("triggers", "changes are told to all brokers", fault)


def _rights(connection: Connection) -> Finding:
    lacking: list[str] = []
    for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        query = text("SELECT has_table_privilege(:name, :privilege)")
        tables = [
            table.name
            for table in METADATA.sorted_tables
            if not connection.scalar(query, {"name": table.name, "privilege": right})
        ]
        if tables:
            is_all = len(tables) == len(METADATA.tables)
            lacking.append(f"{right} on {'all tables' if is_all else ', '.join(tables)}")
    sequences = text(
        "SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()"
        " AND NOT has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'USAGE')"
        " ORDER BY sequencename"
    )
    lacking += [f"USAGE on {name}" for name in connection.scalars(sequences)]
    fault = f"the user lacks {'; '.join(lacking)}: grant it" if lacking else ""
    return Finding("rights", "the user may read and write all tables", fault)


def _writable(connection: Connection) -> Finding:
    is_standby = connection.scalar(text("SELECT pg_is_in_recovery()"))
    is_set = connection.scalar(text("SHOW default_transaction_read_only")) == "on"
    fault = ""
    if is_standby:
        fault = "it is a standby, which takes no changes: name the primary server"
    elif is_set:
        fault = "default_transaction_read_only is on: end what made it read-only"
    return Finding("writable", "it takes changes", fault)
