"""A real PostgreSQL for tests: one server a session, begun by the first test that wants it.

It compares text as a language does, and not as Python, so that tests see what depends on that.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from threading import Lock

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from broker.adapters.sql import upgrade_database
from simulator.postgres import Postgres

TEMPLATE = "with_schema"
EMPTY = "without_schema"


class _Session:
    """What all tests of a session share."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.numbers = count(1)
        self.server: Postgres | None = None


_session = _Session()

DROP_S = 10.0


def server() -> Postgres:
    """The session's server; it must be left as it was found."""
    with _session.lock:
        if _session.server is None:
            _session.server = Postgres(max_connections="200")
            _make_templates(_session.server)
        return _session.server


def stop_server() -> None:
    """End the session's server, if it was begun."""
    if _session.server is not None:
        _session.server.close()
        _session.server = None


@asynccontextmanager
async def new_database(*, schema: bool = True) -> AsyncIterator[str]:
    """The URL of a database of one's own, with tables or without, which goes with what it holds."""
    name = f"test_{next(_session.numbers)}"
    template = Identifier(TEMPLATE if schema else EMPTY)
    await execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), template))
    try:
        yield server().url(name)
    finally:
        with suppress(psycopg.errors.QueryCanceled):  # then it goes with the server
            await asyncio.to_thread(_drop, name)


async def execute(statement: SQL | Composed, url: str = "") -> list[tuple[object, ...]]:
    """Have a statement done by the server's superuser; what it found."""
    return await asyncio.to_thread(_execute, statement, url)


def _execute(statement: SQL | Composed, url: str = "") -> list[tuple[object, ...]]:
    with psycopg.connect(url or server().url(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _drop(name: str) -> None:
    """Drop a database; a server that was frozen has been seen to take more than a minute."""
    options = f"-c statement_timeout={round(DROP_S * 1000)}"
    with psycopg.connect(server().url(), autocommit=True, options=options) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _make_templates(server: Postgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for name in (EMPTY, TEMPLATE):
            make = SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name))
            try:
                connection.execute(make + SQL(" LOCALE_PROVIDER icu ICU_LOCALE 'en'"))
            except psycopg.Error:  # before version 15, or built without ICU
                connection.execute(make)
    upgrade_database(server.url(TEMPLATE))
