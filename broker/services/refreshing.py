"""Reading key sources anew, each in its own time: a slow one holds up nobody.

Local files are read every second. A remote source is read every `poll_s`, every second while one of
its keys is quarantined or another replica leases a revision that it has not given here yet, and
sooner than due after it failed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from broker.core.policy import DAY_S
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import KeySource, SourceFault, SourceSnapshot
from broker.ports.source_copies import SourceCopy
from broker.services.orphans import Orphans
from broker.services.readings import Refreshed
from broker.services.rotating import Rotating
from broker.services.source_changes import SourceChanges
from broker.services.source_copying import SourceCopying
from broker.services.source_flights import Loaded, SourceFlight
from broker.services.source_reading import SourceReading
from broker.services.spans import in_words
from broker.services.staleness import Staleness

START_S = 5.0
"""How long a start waits for a remote source before it looks whether there is a copy of it."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What settings say of sources, in seconds."""

    poll_s: float = 60.0
    max_stale_s: float = DAY_S


class Refreshing:
    """Reads the sources; what cannot be read stays as it was, as long as that can be believed."""

    def __init__(
        self,
        sources: Sequence[KeySource],
        poll_s: float,
        rotating: Rotating,
        changes: SourceChanges,
        staleness: Staleness,
        copying: SourceCopying,
        orphans: Orphans,
        random: Random,
    ) -> None:
        self._keyring = rotating.keyring
        self._clock = clock = rotating.clock
        self._rotating = rotating
        self._changes = changes
        self._copying = copying
        self._orphans = orphans
        self._flights = {
            source.name: SourceFlight(
                source, self._take, clock, random, poll_s if source.is_remote else 0.0
            )
            for source in sources
        }
        self._taken: dict[str, tuple[SourceSnapshot, int]] = {}
        self._change_count = 0
        self.staleness = staleness
        self.readings: dict[str, SourceReading] = {}

    async def refresh(self) -> list[SourceReading]:
        """Read every source now; faults are in the readings.

        The first one takes what they give in their order, waits for copies of those that cannot be
        read, and brings back what worked last, before anything is leased.
        """
        if not self.readings:
            await self._begin()
        else:
            tasks = [flight.again() for flight in self._flights.values()]
            if tasks:
                await asyncio.wait(tasks)
        await self._keep()
        return [self.readings[name] for name in self._flights if name in self.readings]

    async def on_tick(self) -> None:
        """Read what is due; of remote sources it waits for none."""
        now, urgent = self._clock.now(), self._urgent()
        local = []
        for name, flight in self._flights.items():
            reading = self.readings.get(name)
            has_failed = reading is None or not reading.is_good
            if flight.is_due(now, is_urgent=name in urgent, has_failed=has_failed):
                task = flight.begin()
                if not flight.source.is_remote:
                    local.append(task)
        if local:
            await asyncio.wait(local)
        await self._keep()

    def read_soon(self, source: str) -> None:
        """Read a source at once, because there is more to know than it said last."""
        flight = self._flights.get(source)
        if flight is not None:
            _ = flight.again()

    async def close(self) -> None:
        """Read no more."""
        await asyncio.gather(*(flight.close() for flight in self._flights.values()))
        await self._copying.close()

    async def _begin(self) -> None:
        loads = {name: asyncio.create_task(flight.load()) for name, flight in self._flights.items()}
        late = asyncio.ensure_future(self._clock.sleep(START_S))
        try:
            for name, load in loads.items():
                flight = self._flights[name]
                if flight.source.is_remote:
                    await asyncio.wait({load, late}, return_when=asyncio.FIRST_COMPLETED)
                    await self._begin_remote(flight, load)
                else:
                    self._take(flight.source, await load)
        except BaseException:
            for load in loads.values():
                load.cancel()
            raise
        finally:
            late.cancel()

    async def _begin_remote(self, flight: SourceFlight, load: asyncio.Task[Loaded]) -> None:
        """Take what a remote source gives at the start, and from its copy what it does not."""
        name = flight.source.name
        if not load.done():
            copy = await self._copying.find(name)
            if copy is not None and not load.done():
                cause = f"has not answered for {in_words(START_S)}"
                self._take_copy(name, copy, copy.snapshot, cause)
                flight.carry_on(load)
                return
        loaded = await load
        if isinstance(loaded, SourceUnavailableError):
            copy = await self._copying.find(name)
            if copy is not None:
                self._take_copy(name, copy, copy.snapshot, str(loaded))
                return
        elif loaded.faults:
            copy = await self._copying.find(name)
            if copy is not None:  # of what it did not give nobody can tell what was meant
                given = {key.key_id for key in loaded.keys}
                keys = tuple(key for key in copy.snapshot.keys if key.key_id not in given)
                self._take_copy(name, copy, SourceSnapshot(keys), "")
        self._take(flight.source, loaded)

    def _take(self, source: KeySource, loaded: Loaded) -> None:
        """Believe what a source gave; waits for nothing."""
        last = self.readings.get(source.name)
        if isinstance(loaded, SourceUnavailableError):
            fault = SourceFault(source.name, str(loaded))
            reading = SourceReading(
                source=source.name,
                read_at=last.read_at if last else None,
                refreshed=Refreshed(faults=(fault,)),
                is_from_copy=last is not None and last.is_from_copy,
                unconfirmed=last.unconfirmed if last else {},
                is_current=False,
            )
        else:
            reading = self._believe(source, loaded, last)
        self._changes.tell_faults(reading, last)
        self.readings[source.name] = reading

    def _believe(
        self, source: KeySource, snapshot: SourceSnapshot, last: SourceReading | None
    ) -> SourceReading:
        now, is_first = self._clock.now(), last is None or last.read_at is None
        refreshed = self._compare(source.name, snapshot, last)
        self._changes.follow_up(source.name, refreshed, snapshot.versions, is_first=is_first)
        if is_first:
            self._changes.tell_started(source.name, len(refreshed.added))
        since = last.read_at if last is not None and last.read_at is not None else now
        known = last.unconfirmed if last else {}
        if source.is_remote and not refreshed.kept:
            self._copying.note(source.name, snapshot)
        return SourceReading(
            source=source.name,
            read_at=now,
            refreshed=refreshed,
            unconfirmed={key.key_id: known.get(key.key_id, since) for key in refreshed.kept},
        )

    def _compare(
        self, source: str, snapshot: SourceSnapshot, last: SourceReading | None
    ) -> Refreshed:
        """What a reading changes; the very same one again, while nothing else did, nothing."""
        taken = self._taken.get(source)
        is_same = taken is not None and taken[0] is snapshot and taken[1] == self._change_count
        if is_same and last is not None and last.is_current:
            return Refreshed(faults=last.refreshed.faults, kept=last.refreshed.kept)
        refreshed = self._keyring.replace(source, snapshot)
        if refreshed.added or refreshed.changed or refreshed.gone:
            self._change_count += 1
        self._taken[source] = snapshot, self._change_count
        return refreshed

    def _take_copy(
        self, source: str, copy: SourceCopy, snapshot: SourceSnapshot, cause: str
    ) -> None:
        """Serve from a copy; with a `cause` it is all there is."""
        known = [key for key in snapshot.keys if key.provider in self._keyring.providers]
        usable = SourceSnapshot(tuple(known), previous=snapshot.previous)
        refreshed = self._keyring.replace(source, usable)
        now = self._clock.now()
        read_at = min(copy.read_at, now)
        faults = (SourceFault(source, cause),) if cause else ()
        reading = SourceReading(
            source, read_at, Refreshed(faults=faults), is_from_copy=True, is_current=False
        )
        self._changes.follow_up(source, refreshed, {}, is_first=True)
        if cause:
            self._changes.tell_faults(reading, None)
            self._changes.tell_started(source, len(refreshed.added), cause, now - read_at)
        self.readings[source] = reading

    def _urgent(self) -> set[str]:
        """The sources of which a better secret is wanted now."""
        wanted = [
            key
            for name in self._keyring.providers
            if not self._rotating.health.is_calm(name)
            for key in self._keyring.keys(name)
            if self._rotating.is_rejected(key)
        ]
        wanted += self._rotating.elsewhere.chased()
        return {self._keyring.source_of(key.key_id) for key in wanted}

    async def _keep(self) -> None:
        """Do what is due after readings."""
        self._changes.retire_gone()
        self.staleness.judge(self.readings.values(), self._clock.now())
        names = self._flights.keys()
        is_complete = all(name in self.readings and self.readings[name].is_good for name in names)
        await self._rotating.keep(is_complete=is_complete)
        if is_complete and not self._changes.awaits_return:
            self._orphans.retire(self._clock.now())
        for flight in self._flights.values():
            flight.check()
