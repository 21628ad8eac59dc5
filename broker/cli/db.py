"""`keybroker db`: the database's schema, and whether a broker can work with it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from broker.adapters.sql.examining import Finding, examine
from broker.adapters.sql.migrating import BASE, revisions
from broker.adapters.sql.schema import REVISION
from broker.adapters.sql.upgrading import current_revision, downgrade_database, upgrade_database
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_group
from broker.cli.output import Output
from broker.cli.settings import settings_or_exit
from broker.config.stores import MEMORY, database_path
from broker.ports.errors import StoreUnavailableError, StoreUnusableError

app = new_group("Bring the database of KEYBROKER_DATABASE to this version's schema, and check it.")

_FAULTS = (Exit.STORE, Exit.CANNOT_START)


class Where(NamedTuple):
    """The database that the settings name."""

    location: Path | str
    password: str | None


@command(
    app,
    "upgrade",
    examples=("keybroker db upgrade", "keybroker db upgrade 0001"),
    exits=_FAULTS,
)
def upgrade(
    out: Output,
    *,
    revision: Annotated[
        str, typer.Argument(help="Up to this schema; the newest by default.", show_default=False)
    ] = REVISION,
) -> None:
    """Bring the database to a newer schema.

    It is one transaction: all of it or nothing. On PostgreSQL this is a person's step before
    brokers of a new version start; two at once wait for each other. A SQLite file, which must not
    be in use, is also upgraded by its broker.
    """
    wanted = _known(revision)
    where = _where(needs_file=False)
    with _faults_told():
        before, after = upgrade_database(where.location, where.password, wanted)
    if after > wanted:
        message = f"the schema is {after} already, which is newer: 'keybroker db downgrade' goes"
        raise CommandError(Exit.USAGE, f"{message} back")
    _tell(out, before, after)


@command(
    app,
    "downgrade",
    examples=("keybroker db downgrade --to 0001", "keybroker db downgrade --to 0001 --yes"),
    exits=(Exit.FAILED, *_FAULTS),
)
def downgrade(
    out: Output,
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="REVISION", help=f"Back to this schema; {BASE}: no tables."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take the database back to an older schema.

    That is for a version before this one. What the schema has no place for is dropped: make a
    backup first, and stop all brokers. At a terminal it asks first.
    """
    wanted = to if to == BASE else _known(to)
    where = _where()
    if not yes:
        _confirm(wanted)
    with _faults_told():
        before, after = downgrade_database(where.location, wanted, where.password)
    if wanted != BASE and after < wanted:
        message = f"the schema is {after or 'none'}, which is older: 'keybroker db upgrade' goes on"
        raise CommandError(Exit.USAGE, message)
    _tell(out, before, after)


@command(
    app,
    "current",
    examples=("keybroker db current", "keybroker db current --format json | jq .schema"),
    exits=_FAULTS,
)
def current(out: Output) -> None:
    """Show the schema that the database has.

    It also tells which one this version needs.
    """
    where = _where()
    with _faults_told():
        found = current_revision(where.location, where.password)
    if out.is_json:
        out.json({"schema": found, "needed": REVISION, "is_current": found == REVISION})
    elif found == REVISION:
        out.line(f"The schema is {found}, as this version needs it.")
    else:
        what = f"The schema is {found}" if found else "There are no tables yet"
        out.line(f"{what}; this version needs {REVISION}: run 'keybroker db upgrade'.")


@command(
    app,
    "check",
    examples=("keybroker db check && systemctl start keybroker",),
    exits=_FAULTS,
)
def check(out: Output) -> None:
    """Check that a broker can work with the database.

    Nothing is changed. Is it reachable, new enough, writable, and are the schema, the tables and
    the user's rights as they have to be? It also names the sealing keys that are needed to open
    what is kept.
    """
    where = _where()
    findings = examine(where.location, where.password)
    if out.is_json:
        out.json({"checks": [_as_json(finding) for finding in findings]})
    else:
        rows = ((f.name, "fault" if f.fault else "ok", f.fault or f.detail) for f in findings)
        out.table(("check", "result", "detail"), rows)
    faults = [finding for finding in findings if finding.fault]
    if faults:
        is_away = faults[0].name == "reachable"
        message = "the database cannot be used as it is, for what is told above"
        raise CommandError(Exit.STORE if is_away else Exit.CANNOT_START, message)


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.name,
        "ok": not finding.fault,
        "detail": finding.fault or finding.detail,
    }


def _tell(out: Output, before: str, after: str) -> None:
    if out.is_json:
        out.json({"before": before, "after": after})
    elif before == after:
        out.line(f"The schema is {after or 'none'}, as it was.")
    else:
        out.line(f"The schema is {after or 'none'} now; it was {before or 'none'}.")


def _where(*, needs_file: bool = True) -> Where:
    """The database of the settings; a file that is only looked at is not made.

    Who changes a schema need not hold the brokers' secrets.
    """
    settings = settings_or_exit(os.environ, is_to_serve=False)
    if settings.database == MEMORY:
        message = "the broker keeps nothing in a database: name one in KEYBROKER_DATABASE"
        raise CommandError(Exit.USAGE, message)
    path, password = database_path(settings.database), settings.database_password
    if path is not None and needs_file and not path.exists():
        message = f"there is no file {path} yet: the broker, or 'keybroker db upgrade', makes it"
        raise CommandError(Exit.USAGE, message)
    return Where(path or settings.database, password.get_secret_value() if password else None)


def _known(revision: str) -> str:
    known = revisions()
    if revision not in known:
        message = f"this version knows no schema {revision!r}: name one of {', '.join(known)}"
        raise CommandError(Exit.USAGE, message)
    return revision


def _confirm(revision: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        message = "there is no terminal to ask at; say --yes to drop what is newer, for good"
        raise CommandError(Exit.USAGE, message)
    if not typer.confirm(f"Drop what schema {revision} has no place for, for good?", err=True):
        raise CommandError(Exit.FAILED, "nothing was changed; answer y to go back")


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except StoreUnavailableError as error:
        raise CommandError(Exit.STORE, str(error)) from None
    except StoreUnusableError as error:
        raise CommandError(Exit.CANNOT_START, str(error)) from None
