"""What PostgreSQL's errors mean to a person; their own texts quote values."""

from typing import Final

import psycopg

from broker.adapters.sql.postgres_connection import TimeUpError

_GRANT: Final = (
    "the user may not do this: give it the rights on the tables that 'keybroker db check' names;"
    " the schema is changed by its owner"
)
_REFUSED: Final = "user or password is refused: look at the URL, the password and pg_hba.conf"
_READ_ONLY: Final = "it is read-only: name the primary server, or end what made it read-only"
_FULL: Final = "its server takes no more connections: raise max_connections, or end others"
_NO_DATABASE: Final = "there is no such database: make it, or name another"
_ENDED: Final = "its server was shut down or restarted"
_STARTING: Final = "its server is starting up or shutting down"
_SCHEMA: Final = "its tables are not as this version knows them: run 'keybroker db check'"
_AWAY: Final = "nothing answers there: look at its server, and the host and port of the URL"
_SILENT: Final = "its server does not answer in time"
_BROKEN: Final = "the connection to it broke"
_TLS: Final = "its server speaks no TLS: let it, or say sslmode in the URL"

_CAUSES: Final = {
    "08": _BROKEN,
    "22": "a value is one that it cannot hold",
    "25006": _READ_ONLY,
    "25P03": _SILENT,
    "28": _REFUSED,
    "3D": _NO_DATABASE,
    "3F": _SCHEMA,
    "40": "transactions stood in one another's way",
    "42501": _GRANT,
    "42": _SCHEMA,
    "53100": "its disk is full: make room",
    "53200": "its server's memory ran out",
    "53": _FULL,
    "55P03": "another broker or person holds a lock on it",
    "57014": _SILENT,
    "57P03": _STARTING,
    "57": _ENDED,
    "58": "its disk fails: look at the server's log",
    "XX": "it is damaged: look at the server's log",
}
"""By SQLSTATE, or its class; the longest that fits."""

_SAID: Final = (
    ("too many clients", _FULL),
    ("too many connections", _FULL),
    ("no more connections", _FULL),
    ("connection slots are reserved", _FULL),
    ("password", _REFUSED),
    ("pg_hba.conf", _REFUSED),
    ("authentication", _REFUSED),
    ("not permitted to log in", _REFUSED),
    ("role ", _REFUSED),
    ("starting up", _STARTING),
    ("shutting down", _STARTING),
    ("recovery mode", _STARTING),
    ("not yet accepting", _STARTING),
    ("permission denied for database", _GRANT),
    ("does not support ssl", _TLS),
    ("certificate", "its certificate is not trusted: look at sslrootcert and the host's name"),
    ("connection option", "the URL has a parameter that libpq does not know"),
    ("invalid ", "the URL has a parameter with a value that libpq does not take"),
    ("ssl", "TLS fails: look at the sslmode of the URL, and at the server"),
    ("resolve host", "its host is not known: look at the URL and at DNS"),
    ("refused", _AWAY),
    ("no such file", _AWAY),
    ("unreachable", _AWAY),
    ("no route", _AWAY),
    ("database ", _NO_DATABASE),
    ("closed the connection", _BROKEN),
    ("reset by peer", _BROKEN),
)
"""What a refused connection is known by, which has no SQLSTATE; in that order."""


def cause(error: BaseException | None) -> str:
    """What an error of the driver means, and what to do."""
    if isinstance(error, TimeUpError | psycopg.errors.ConnectionTimeout):
        return _SILENT
    state = getattr(error, "sqlstate", None) or ""
    for length in (5, 2):
        if state and state[:length] in _CAUSES:
            return _CAUSES[state[:length]]
    if state:
        return f"it answered {state}"
    said = str(error).lower()
    if isinstance(error, psycopg.OperationalError | psycopg.ProgrammingError):
        for phrase, meaning in _SAID:
            if phrase in said:
                return meaning
    if isinstance(error, psycopg.DataError):
        return _CAUSES["22"]
    if isinstance(error, psycopg.OperationalError):
        return "it takes no connection: look at its server's log"
    return f"it answered {type(error).__name__}"
