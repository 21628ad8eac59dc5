"""Changes of a PostgreSQL that brokers share, as the event loop hears of them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import ParamSpec, Protocol

import structlog

from broker.adapters.sql.looking import EVERYTHING, Look
from broker.adapters.sql.shared_rows import End
from broker.ports.changes import Changed, Deliver
from broker.ports.errors import StoreUnavailableError

BEGIN_S = 5.0
"""How long the beginning is waited for."""

CURRENT_S = 2.0
"""Since when nothing may have been heard: a look is due each second."""

CLOSE_S = 4.0

P = ParamSpec("P")

log = structlog.get_logger("keybroker")


class LogReader(Protocol):
    """Who reads the logs of facts when there is something to read; called in the event loop."""

    def hear(self, provider: str, backend: int) -> None:
        """A backend of the database added to a provider's log."""
        ...

    def hear_of(self, ends: Mapping[str, End]) -> None:
        """The logs end here."""
        ...


def _ignore(_changed: Changed) -> None:
    """Before anybody follows."""


class SqlChangeFeed:
    """Changes of all brokers on one PostgreSQL, this one's too; and news of the log of facts.

    One thread with a connection of its own hears of both.
    """

    def __init__(
        self,
        url: str,
        reader: LogReader | None = None,
        *,
        password: str | None = None,
        replica: str = "",
    ) -> None:
        from broker.adapters.sql.listening import Ears, Listener  # noqa: PLC0415 - slow to import

        self._reader = reader
        self._deliver: Deliver = _ignore
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begun: asyncio.Future[None] | None = None
        self._looked_at = -float("inf")
        self._fault = ""
        self._is_closed = False
        ears = Ears(
            looked=self._in_loop(self._looked),
            heard_of_facts=self._in_loop(self._heard_of_facts),
            failed=self._in_loop(self._failed),
        )
        self._listener = Listener(url, password, replica, ears)

    @property
    def is_current(self) -> bool:
        """Was the last look a moment ago?"""
        return time.monotonic() - self._looked_at < CURRENT_S

    async def follow(self, deliver: Deliver) -> None:
        """Deliver what is committed from now on."""
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.create_future()
        self._deliver = deliver
        self._listener.start()
        try:
            await asyncio.wait({self._begun}, timeout=BEGIN_S)
        finally:
            if not self._begun.done():
                await self.close()
        if not self._begun.done():
            fault = self._fault or "its server does not answer in time"
            raise StoreUnavailableError(
                f"the database {self._listener.name} does not work: {fault}"
            )

    async def close(self) -> None:
        """Deliver nothing more, and end the thread."""
        self._is_closed = True
        self._looked_at = -float("inf")
        if self._loop is not None:
            await asyncio.to_thread(self._listener.close, CLOSE_S)

    def _in_loop(self, call: Callable[P, None]) -> Callable[P, None]:
        """Have the thread's call made in the event loop, until the end of either."""

        def told(*args: P.args, **kwargs: P.kwargs) -> None:
            if not self._is_closed:
                call(*args, **kwargs)

        def tell(*args: P.args, **kwargs: P.kwargs) -> None:
            if self._loop is not None:
                with suppress(RuntimeError):  # it was closed without us
                    self._loop.call_soon_threadsafe(partial(told, *args, **kwargs))

        return tell

    def _looked(self, look: Look, at: float, is_first: bool) -> None:  # noqa: FBT001 - see Ears
        if self._fault:
            self._fault = ""
            log.info("changes_heard_again", database=self._listener.name)
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)
        elif is_first:
            self._deliver(EVERYTHING)
        for change in look.changes:
            self._deliver(change)
        self._looked_at = at
        if self._reader is not None:
            self._reader.hear_of(look.ends)

    def _heard_of_facts(self, provider: str, backend: int) -> None:
        if self._reader is not None:
            self._reader.hear(provider, backend)

    def _failed(self, fault: str) -> None:
        """Say once that nothing is heard."""
        if not self._fault:
            log.warning("changes_unheard", database=self._listener.name, detail=fault)
        self._fault = fault
