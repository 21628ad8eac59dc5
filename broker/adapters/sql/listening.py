"""The thread that hears of what others did: it waits for NOTIFY, and looks each second anyway.

Looking is the truth: behind a pooler that shares connections LISTEN brings nothing.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from broker.adapters.sql import postgres_causes
from broker.adapters.sql.looking import Look, Looking
from broker.adapters.sql.postgres_connection import Address, LimitedConnection

POLL_S = 1.0
"""How often it looks though nobody notifies."""

ANSWER_S = 4.0
"""How long it waits for an answer, before it tries another connection."""

RETRY_S = (0.1, 0.3, 1.0)
"""How long it waits before it connects again; the last one from then on."""

CHANNELS = ("keybroker", "keybroker_facts")


@dataclass(frozen=True, slots=True)
class Ears:
    """What the thread calls, in the thread.

    `looked` after each look, with the monotonic time of it, and whether it is the first one on this
    connection. `heard_of_facts` of a log, and of the backend that added to it. `failed`, and why,
    when there is no connection any more, or none yet.
    """

    looked: Callable[[Look, float, bool], None]
    heard_of_facts: Callable[[str, int], None]
    failed: Callable[[str], None]


class Listener:
    """Connects, listens and looks until it is closed; connects anew as often as it must."""

    def __init__(self, url: str, password: str | None, replica: str, ears: Ears) -> None:
        address = Address(url, password)
        self.name = address.name
        self._connect = address.connector(replica)
        self._ears = ears
        self._closing = threading.Event()
        self._connection: LimitedConnection | None = None
        self._thread = threading.Thread(target=self._run, name="sql-listener", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, within_s: float) -> None:
        """End it, whatever it waits for; blocks until it has ended."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            connection.ends = time.monotonic()
        self._thread.join(within_s)

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                with self._connect() as connection:
                    self._connection = connection
                    for _ in self._looks(connection):
                        failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, this thread goes on
                if not self._closing.is_set():
                    self._ears.failed(postgres_causes.cause(error))
            finally:
                self._connection = None
            self._closing.wait(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1

    def _looks(self, connection: LimitedConnection) -> Iterator[None]:
        """Look at once, when somebody notifies of a change, and each second."""
        if not self._may_wait(connection, ANSWER_S):
            return
        for channel in CHANNELS:
            connection.execute(f"LISTEN {channel}")
        looking, is_first = Looking(), True
        while self._may_wait(connection, ANSWER_S):
            began = time.monotonic()
            self._ears.looked(looking.look(connection), began, is_first)
            is_first = False
            yield
            with suppress(psycopg.errors.ReadOnlySqlTransaction):  # others' changes are told still
                looking.prune(connection)
            self._listen(connection, began + POLL_S)

    def _listen(self, connection: LimitedConnection, until: float) -> None:
        """Listen until it is time to look again, or worth it."""
        while (left_s := until - time.monotonic()) > 0:
            if not self._may_wait(connection, left_s + ANSWER_S):
                return
            for told in connection.notifies(timeout=left_s, stop_after=1):
                if told.channel == "keybroker_facts":
                    self._ears.heard_of_facts(told.payload, told.pid)
                else:
                    until = 0.0

    def _may_wait(self, connection: LimitedConnection, within_s: float) -> bool:
        """Have the connection wait so long, unless this is the end."""
        connection.ends = time.monotonic() + within_s  # before it asks: `close` does so after
        return not self._closing.is_set()
