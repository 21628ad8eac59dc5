"""What operators have done now instead of waiting for it: probes, and reading the sources."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from broker.core.key import Key
from broker.core.words import ProbeResult
from broker.ports.prober import Probed
from broker.services.errors import InvalidFieldError
from broker.services.keyring import Keyring
from broker.services.probe_line import MAX_IN_FLIGHT
from broker.services.probing import ProbeDone, Probing
from broker.services.refreshing import Refreshing
from broker.services.source_reading import SourceReading
from broker.services.tenant import KeyPlace
from broker.services.tenants import Tenants

_UNREADABLE = Probed(
    ProbeResult.INCONCLUSIVE,
    reached=False,
    detail="its stored secret cannot be opened: rotate or delete the key",
)


class Upkeep:
    """Probes and refreshes on demand."""

    def __init__(
        self, keyring: Keyring, tenants: Tenants, probing: Probing, refreshing: Refreshing
    ) -> None:
        self._keyring = keyring
        self._tenants = tenants
        self._probing = probing
        self._refreshing = refreshing
        self._reading: asyncio.Task[list[SourceReading]] | None = None

    async def probe(self, provider: str, key_ids: Sequence[str]) -> AsyncGenerator[ProbeDone, None]:
        """Probe the keys named, each once, or all system keys of the provider, or all there are.

        Tells of each as it is done; leaving stops what has not begun. Raises, before anything is
        probed, ProviderUnknown-, KeyUnknown- and StoreUnavailableError, and InvalidFieldError for
        another provider's key.
        """
        if provider:
            self._keyring.provider(provider)
        async with AsyncExitStack() as stack:  # tenants' keys stay at hand as long as it lasts
            keys = [] if key_ids else self._keyring.keys(provider)
            for key_id in dict.fromkeys(key_ids):
                place = await stack.enter_async_context(self._tenants.using_key(key_id))
                if provider not in {"", place.provider}:
                    raise InvalidFieldError("key_ids", f"names keys of others than {provider}")
                keys.append(self._find(place))
            async with aclosing(self._probe_all(keys)) as probes:
                async for done in probes:
                    yield done

    async def refresh(self) -> list[SourceReading]:
        """Read every source, by name; concurrent calls share one reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._refreshing.refresh())
        readings = await asyncio.shield(self._reading)
        return sorted(readings, key=lambda reading: reading.source)

    def _find(self, place: KeyPlace) -> Key:
        """A key that is at hand; without its secret where that cannot be opened."""
        tenant = self._tenants.find(place.tenant)
        unreadable = tenant.unreadable if tenant else {}
        return unreadable.get(place.key_id) or self._keyring.key(place.key_id)

    async def _probe_all(self, keys: Sequence[Key]) -> AsyncGenerator[ProbeDone, None]:
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
        if not key.secret:
            return ProbeDone(key, _UNREADABLE, 0.0, 1, 1)
        (done,) = [done async for done in self._probing.probe_now([key])]
        return done
