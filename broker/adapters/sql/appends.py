"""Appends on their way into a log: what is asked for while one commit runs is the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import structlog

from broker.core.facts import Fact
from broker.core.replica import Logged
from broker.ports.errors import StoreUnavailableError

MAX_BATCH = 500

log = structlog.get_logger("keybroker")


@dataclass(frozen=True, slots=True)
class Append:
    """A fact that was so old when it was asked for; `done` holds errors as a result.

    Nobody may be waiting for it any more.
    """

    fact: Fact
    asked_at: float
    age_s: float
    done: "asyncio.Future[Logged | StoreUnavailableError]"


Commit: TypeAlias = Callable[[Sequence[Append]], Awaitable[None]]
"""Makes a batch durable, or raises StoreUnavailableError."""

Recall: TypeAlias = Callable[[Fact], Logged | None]
"""The entry of a fact that the log has."""


class Appends:
    """Commits appends in batches, in the order of asking; a fact that waits already is one."""

    def __init__(self, commit: Commit, recall: Recall, patience_s: float) -> None:
        self._commit = commit
        self._recall = recall
        self._patience_s = patience_s
        self._waiting: dict[tuple[str, str], Append] = {}
        self._flushing: asyncio.Task[None] | None = None

    async def add(self, fact: Fact, asked_at: float, age_s: float) -> Logged:
        """Append a fact, and wait for its commit. Raises StoreUnavailableError."""
        name = (fact.provider, fact.fact_id)
        waiting = self._waiting.get(name)
        if waiting is None:
            done = asyncio.get_running_loop().create_future()
            waiting = self._waiting[name] = Append(fact, asked_at, max(age_s, 0.0), done)
            self._flush_soon()
        await asyncio.wait({waiting.done}, timeout=self._patience_s)
        if not waiting.done.done():
            raise StoreUnavailableError(
                f"the fact log did not answer within {self._patience_s:g} s"
            )
        result = waiting.done.result()
        if isinstance(result, StoreUnavailableError):
            raise StoreUnavailableError(str(result))
        return result

    def _flush_soon(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        """Commit what waits, batch by batch, until nothing does."""
        while self._waiting:
            batch = list(islice(self._waiting.values(), MAX_BATCH))
            error: StoreUnavailableError | None = None
            try:
                await self._commit(batch)
            except StoreUnavailableError as fault:
                error = fault
            except Exception:  # what waits must not wait for ever
                log.exception("append_failed")
            self._settle(batch, error)

    def _settle(self, batch: Sequence[Append], error: StoreUnavailableError | None) -> None:
        """Answer who waits: with the entry, or the error where there is none."""
        for append in batch:
            del self._waiting[append.fact.provider, append.fact.fact_id]
            entry = self._recall(append.fact)
            append.done.set_result(entry or error or StoreUnavailableError("the fact is lost"))
