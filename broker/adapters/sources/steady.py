"""Believes what a file says when two looks agree: a file that is being written says anything."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot

MAX_LOOKS = 20


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a source; `may_be_cut` says that its last line has no end."""

    snapshot: SourceSnapshot
    may_be_cut: bool = False


class Steady:
    """Looks, and looks again where the first look takes something away or changes it."""

    def __init__(self, look: Callable[[], Sight], pause_s: float) -> None:
        self._look = look
        self._pause_s = pause_s
        self._last: SourceSnapshot | None = None

    async def load(self) -> SourceSnapshot:
        """What the source says; `look` runs in a thread. Raises SourceUnavailableError."""
        sight = await self._seen()
        for _ in range(MAX_LOOKS):
            if not self._is_doubtful(sight):
                self._last = sight.snapshot
                return sight.snapshot
            await asyncio.sleep(self._pause_s)
            again = await self._seen()
            if again == sight:
                self._last = again.snapshot
                return again.snapshot
            sight = again
        raise SourceUnavailableError("it is being written all the time: replace it by a rename")

    async def _seen(self) -> Sight:
        """One look; a file may be away for a moment while it is replaced."""
        try:
            return await asyncio.to_thread(self._look)
        except SourceUnavailableError:
            if self._last is None:
                raise
        await asyncio.sleep(self._pause_s)
        return await asyncio.to_thread(self._look)

    def _is_doubtful(self, sight: Sight) -> bool:
        last, snapshot = self._last, sight.snapshot
        if last is None or snapshot is last or snapshot == last:
            return False
        if sight.may_be_cut or set(snapshot.faults) - set(last.faults):
            return True
        now = {key.key_id: key.revision for key in snapshot.keys}
        return any(now.get(key.key_id) != key.revision for key in last.keys)
