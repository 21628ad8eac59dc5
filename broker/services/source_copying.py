"""Copies of remote sources: made after good readings, and looked for where a start reads nothing.

A copy is never better than its source: what is too old, damaged or sealed by another key is told
and not used.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from broker.ports.clock import Clock
from broker.ports.errors import (
    SealBrokenError,
    SealClosedError,
    StoreUnavailableError,
    StoreUnusableError,
)
from broker.ports.key_source import SourceSnapshot
from broker.ports.source_copies import SourceCopies, SourceCopy
from broker.services.journal import Journal
from broker.services.spans import in_words

RENEW_S = 600.0
"""The time of a copy is written anew after this long, where what it holds has not changed."""

CLOSE_S = 2.0
"""How long the end may wait until what is due is kept."""


class SourceCopying:
    """Keeps copies, where there is a place for them; what fails is tried again."""

    def __init__(
        self, copies: SourceCopies | None, journal: Journal, clock: Clock, max_age_s: float
    ) -> None:
        self._copies = copies
        self._journal = journal
        self._clock = clock
        self._max_age_s = max_age_s
        self._renew_s = min(RENEW_S, max_age_s / 4)
        self._kept: dict[str, SourceCopy] = {}
        self._due: dict[str, SourceCopy] = {}
        self._saving: asyncio.Task[None] | None = None
        self._told = ""

    def note(self, source: str, snapshot: SourceSnapshot) -> None:
        """A source was read well."""
        now, kept = self._clock.now(), self._kept.get(source)
        is_same = kept is not None and (kept.snapshot.keys, kept.snapshot.previous) == (
            snapshot.keys,
            snapshot.previous,
        )
        if self._copies is None or (is_same and kept and now - kept.read_at < self._renew_s):
            return
        self._due[source] = SourceCopy(source, now, snapshot)
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save(self._copies))

    async def find(self, source: str) -> SourceCopy | None:
        """The copy of a source, if it can be used; if not, why not is told."""
        if self._copies is None:
            return None
        try:
            copy = await self._copies.get(source)
        except (SealBrokenError, SealClosedError, StoreUnavailableError) as error:
            self._refuse(source, str(error))
        except StoreUnusableError as error:
            self._refuse(source, str(error))
        else:
            if copy is None:
                return None
            age_s = self._clock.now() - copy.read_at
            if age_s < self._max_age_s:
                return copy
            self._refuse(source, f"it is {in_words(age_s)} old, too old to be believed")
        return None

    async def close(self) -> None:
        """Keep what is due, as far as that takes a moment."""
        if self._saving is not None:
            with suppress(TimeoutError):
                await _within(CLOSE_S, self._saving)

    async def _save(self, copies: SourceCopies) -> None:
        while self._due:  # also what becomes due meanwhile
            source, copy = next(iter(self._due.items()))
            del self._due[source]
            try:
                await copies.put(copy)
            except (StoreUnavailableError, SealClosedError) as error:
                self._tell(source, str(error))
                continue  # the next reading tries again
            self._kept[source] = copy
            self._told = ""

    def _tell(self, source: str, cause: str) -> None:
        """Say once that it does not work."""
        if cause != self._told:
            self._told = cause
            message = f"{source}: no copy is kept for a start without it: {cause}"
            self._journal.record("source_not_copied", "", self._clock.now(), message)

    def _refuse(self, source: str, cause: str) -> None:
        message = f"{source}: the copy of its keys is not used: {cause}"
        self._journal.record("source_copy_refused", "", self._clock.now(), message)


async def _within(seconds: float, work: Awaitable[None]) -> None:
    async with asyncio.timeout(seconds):
        await work
