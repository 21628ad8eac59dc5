"""What operators have done now instead of waiting for it: probes, and reading the sources."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from broker.core.key import Key
from broker.services.errors import InvalidFieldError
from broker.services.keyring import Keyring
from broker.services.probing import MAX_IN_FLIGHT, ProbeDone, Probing
from broker.services.refreshing import Refreshing, SourceReading


class Upkeep:
    """Probes and refreshes on demand."""

    def __init__(self, keyring: Keyring, probing: Probing, refreshing: Refreshing) -> None:
        self._keyring = keyring
        self._probing = probing
        self._refreshing = refreshing
        self._reading: asyncio.Task[list[SourceReading]] | None = None

    def keys_to_probe(self, provider: str, key_ids: Sequence[str]) -> list[Key]:
        """The keys named, each once, or all of the provider, or all there are.

        Raises ProviderUnknownError, KeyUnknownError, and InvalidFieldError for another provider's.
        """
        if provider:
            self._keyring.provider(provider)
        if not key_ids:
            return self._keyring.keys(provider)
        keys = [self._keyring.key(key_id) for key_id in dict.fromkeys(key_ids)]
        if any(provider not in {"", key.provider} for key in keys):
            raise InvalidFieldError("key_ids", f"names keys of others than {provider}")
        return keys

    async def probe(self, keys: Sequence[Key]) -> AsyncGenerator[ProbeDone, None]:
        """Probe each key and tell of it as it is done; leaving stops what has not begun."""
        left = deque(keys)
        running: dict[asyncio.Task[ProbeDone], str] = {}
        done_count = 0
        try:
            while left or running:
                self._start(left, running)
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del running[task]
                    done_count += 1
                    yield replace(task.result(), done=done_count, total=len(keys))
        finally:
            for task in running:
                task.cancel()

    async def refresh(self) -> list[SourceReading]:
        """Read every source, by name; concurrent calls share one reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._refreshing.refresh())
        readings = await asyncio.shield(self._reading)
        return sorted(readings, key=lambda reading: reading.source)

    def _start(self, left: deque[Key], running: dict[asyncio.Task[ProbeDone], str]) -> None:
        """Start as many probes as their providers' queues take at once; others keep their place."""
        busy = Counter(running.values())
        for _ in range(len(left)):
            key = left.popleft()
            if busy[key.provider] < MAX_IN_FLIGHT:
                busy[key.provider] += 1
                running[asyncio.create_task(self._probe(key))] = key.provider
            else:
                left.append(key)

    async def _probe(self, key: Key) -> ProbeDone:
        (done,) = [done async for done in self._probing.probe_now([key])]
        return done
