"""Reading one source: never twice at a time, and when that is due."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from broker.ports.clock import Clock
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import KeySource, SourceSnapshot

SPREAD: Final = 0.1
"""Intervals differ by this share up and down, lest replicas that started together stay so."""

RETRY_S: Final = 5.0
"""A source that could not be read is read again after this long, unless it is due before."""

Loaded = SourceSnapshot | SourceUnavailableError


class SourceFlight:
    """Reads a source and hands on what it gave; `poll_s` 0: it is due whenever it is asked."""

    def __init__(
        self,
        source: KeySource,
        take: Callable[[KeySource, Loaded], None],
        clock: Clock,
        random: Random,
        poll_s: float,
    ) -> None:
        self.source = source
        self._take = take
        self._clock = clock
        self._random = random
        self._poll_s = poll_s
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._due_at = 0.0
        self._retry_at = 0.0

    def is_due(self, now: float, *, is_urgent: bool, has_failed: bool) -> bool:
        """Should it be read now: it is urgent, its time has come, or it failed a while ago."""
        return is_urgent or now >= self._due_at or (has_failed and now >= self._retry_at)

    def begin(self) -> asyncio.Task[None]:
        """Read, unless that is under way or about to be."""
        if self._next is not None:
            return self._next
        if self._running is None or self._running.done():
            self._note_begun()
            self._running = asyncio.create_task(self._read())
        return self._running

    def again(self) -> asyncio.Task[None]:
        """Read what is there from now on: a reading that is under way may not have seen it."""
        if self._next is None and self._running is not None and not self._running.done():
            self._next = asyncio.create_task(self._read_after(self._running))
        return self.begin()

    def carry_on(self, load: asyncio.Task[Loaded]) -> None:
        """Take what a reading will give that began elsewhere."""
        self._note_begun()
        self._running = asyncio.create_task(self._await(load))

    def check(self) -> None:
        """Raise, once, what nobody expected of the last reading."""
        task = self._running
        if task is not None and task.done():
            self._running = None
            if not task.cancelled():
                task.result()

    async def close(self) -> None:
        """Stop reading; nothing is handed on any more."""
        tasks = [task for task in (self._running, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def load(self) -> Loaded:
        """What the source gives, or why it gives nothing."""
        self._note_begun()
        try:
            return await self.source.load()
        except SourceUnavailableError as error:
            return error

    def _note_begun(self) -> None:
        now = self._clock.now()
        self._due_at = now + self._poll_s * self._random.uniform(1 - SPREAD, 1 + SPREAD)
        self._retry_at = now + RETRY_S

    async def _read(self) -> None:
        self._take(self.source, await self.load())

    async def _read_after(self, running: asyncio.Task[None]) -> None:
        await asyncio.wait({running})
        self._running, self._next = self._next, None
        await self._read()

    async def _await(self, load: asyncio.Task[Loaded]) -> None:
        try:
            self._take(self.source, await load)
        finally:
            load.cancel()
