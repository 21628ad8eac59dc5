"""Connections to PostgreSQL that wait so long and no longer, whatever becomes of the server."""

import ipaddress
import os
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from broker.ports.errors import StoreUnusableError

T = TypeVar("T")

SET_UP_S: Final = 2.0
"""How long a new connection is waited for; libpq allows no less."""

_STEP_S: Final = 0.05

_DEFAULTS: Final = {
    "connect_timeout": str(int(SET_UP_S)),
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "client_encoding": "utf8",
}
"""What libpq is told where the URL says nothing."""


class TimeUpError(psycopg.OperationalError):
    """The server did not answer in time: the connection was left."""


class LimitedConnection(psycopg.Connection[Any]):
    """A connection whose statements all end at a time, by leaving it if need be.

    The server's own `statement_timeout` does not help where the server, or the way to it, is
    frozen.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as psycopg's own
        super().__init__(*args, **kwargs)
        self.ends = time.monotonic() + SET_UP_S

    def wait(self, gen: PQGen[T], interval: float = _STEP_S, timeout: float | None = None) -> T:
        """Do what `gen` does with the server."""
        try:
            return super().wait(self._until_it_ends(gen), min(interval, _STEP_S), timeout)
        except TimeUpError:
            self.close()
            raise

    def _until_it_ends(self, gen: PQGen[T]) -> Generator[Any, Any, T]:
        """The same steps, of which each may be the last: other threads may set `ends` earlier."""
        try:
            step = next(gen)
            while True:
                is_ready = yield step
                if not is_ready and time.monotonic() >= self.ends:
                    raise TimeUpError
                step = gen.send(is_ready)
        except StopIteration as end:
            result: T = end.value
            return result


class Address:
    """What a `postgresql://` URL says of a database, and how to connect to it."""

    def __init__(self, url: str, password: str | None) -> None:
        try:
            self._url = make_url(url.replace("postgres://", "postgresql://", 1))
        except (ArgumentError, ValueError):
            raise StoreUnusableError("the database's URL is no URL") from None
        self._password = password or self._url.password

    @property
    def name(self) -> str:
        """Where it is, without user, password and parameters."""
        shown = URL.create(
            "postgresql", host=self._host(), port=self._url.port, database=self._url.database
        )
        return str(shown)

    def connector(self, replica: str) -> Callable[[], LimitedConnection]:
        """What makes a connection; it raises psycopg.Error."""
        parameters = self.parameters(replica, os.environ)

        def connect() -> LimitedConnection:
            return LimitedConnection.connect(
                make_conninfo("", **parameters),
                autocommit=True,  # transactions are begun by us, with all that is said of them
                prepare_threshold=None,  # poolers and migrations take prepared statements away
            )

        return connect

    def parameters(self, replica: str, environ: Mapping[str, str]) -> dict[str, str]:
        """What libpq is told; the URL's parameters come first."""
        url = self._url
        name = f"keybroker/{replica}" if replica else "keybroker"
        given = {
            "host": url.host,
            "port": url.port and str(url.port),
            "user": url.username,
            "password": self._password,
            "dbname": url.database,
            **{
                name: value if isinstance(value, str) else ",".join(value)
                for name, value in url.query.items()
            },
        }
        told = _DEFAULTS | {"application_name": name}
        if "PGSSLMODE" not in environ and not self._is_local(environ):
            told["sslmode"] = "require"
        return told | {name: value for name, value in given.items() if value}

    def _host(self) -> str:
        asked = self._url.query.get("host", "")
        return self._url.host or (asked if isinstance(asked, str) else ",".join(asked))

    def _is_local(self, environ: Mapping[str, str]) -> bool:
        """Does the way to it leave this machine for none of its hosts?"""
        given = self._url.query.get("hostaddr") or self._host() or environ.get("PGHOST", "")
        hosts = given.split(",") if isinstance(given, str) else given
        return all(map(_is_local, hosts))


def _is_local(host: str) -> bool:
    """Is it this machine: a socket's folder, or a name or address of the loopback?"""
    if not host or host[0] in "/@" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
