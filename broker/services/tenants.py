"""Tenants in use: their policies and keys, read from the store when they are asked for."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.core.tenancy import FALL_THROUGH, PolicyMode, TenantPolicy
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import KeyStore
from broker.services.errors import KeyUnknownError
from broker.services.freshness import Freshness
from broker.services.keyring import Keyring
from broker.services.opening import Opening
from broker.services.tenant import KeyPlace, Tenant
from broker.services.tenant_keys import Listener, TenantKeys
from broker.services.tenant_readings import TenantReadings

DOUBTED_S = 60.0
"""After a change whose answer was lost, a tenant is read anew at each use for this long: by then
the change is there or never will be."""

RENEWED_WITHIN_S = 0.3
"""How long a use waits for a tenant at hand to be read anew before it is served what is there."""

PAUSE_EVERY = 100
"""Keys that are opened before others may run."""


class Tenants:
    """A bounded cache of tenants; what is pinned stays, else the least used goes first.

    A tenant that is known to have changed is not served before it was read anew. One that may have
    changed is read at its next use, and served as it was known where that fails, until it is stale.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        store: KeyStore,
        opening: Opening,
        freshness: Freshness,
        clock: Clock,
        default_mode: PolicyMode,
        cache_size: int,
    ) -> None:
        self._keyring = keyring
        self._store = store
        self._opening = opening
        self._clock = clock
        self._default_mode = default_mode
        self._cache_size = cache_size
        self.freshness = freshness
        self._keys = TenantKeys(keyring, clock)
        self._readings = TenantReadings(self._load, self._is_due, clock)
        self._loaded: OrderedDict[str, Tenant] = OrderedDict()
        self._changed: set[str] = set()
        self._doubtful: dict[str, float] = {}
        self._doubted: dict[str, float] = {}
        self._pins: Counter[str] = Counter()
        self._cost = 0

    @property
    def cost(self) -> int:
        """How much of the cache is taken; over its size only by what is in use."""
        return self._cost

    @property
    def waiting(self) -> int:
        """How many tenants at hand are to be read anew in the background."""
        return self._readings.waiting

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of changes that readings find from now on."""
        self._keys.listen(listener)

    @asynccontextmanager
    async def using(self, tenant: str) -> AsyncIterator[None]:
        """Have a tenant at hand for as long as this is entered; "" is nobody.

        Raises StoreUnavailableError where it must be read and cannot be.
        """
        if not tenant:
            yield
            return
        self._pins[tenant] += 1
        try:
            await self._have(tenant)
            yield
        finally:
            self._pins[tenant] -= 1
            if not self._pins[tenant]:
                del self._pins[tenant]
                self._make_room()

    @asynccontextmanager
    async def using_if_possible(
        self, tenant: str, within_s: float | None = None
    ) -> AsyncIterator[None]:
        """As `using`, but enter also where the tenant is not at hand and cannot be read in time."""
        is_ready = tenant in self._loaded and tenant not in self._changed
        async with AsyncExitStack() as stack:
            with suppress(StoreUnavailableError, TimeoutError):
                async with asyncio.timeout(None if is_ready else within_s):
                    await stack.enter_async_context(self.using(tenant))
            yield

    @asynccontextmanager
    async def using_key(self, key_id: str) -> AsyncIterator[KeyPlace]:
        """Have a key at hand, if it can be opened, for as long as this is entered.

        Raises KeyUnknownError and StoreUnavailableError.
        """
        place = await self.place(key_id)
        async with self.using(place.tenant):
            yield place

    async def place(self, key_id: str) -> KeyPlace:
        """Where a key belongs. Raises KeyUnknownError and StoreUnavailableError."""
        key = self._keyring.find(key_id)
        if key is not None:
            return KeyPlace(key_id, key.provider, key.owner)
        stored = await self._store.key(key_id)
        if stored is None:
            raise KeyUnknownError(key_id)
        return KeyPlace(key_id, stored.provider, stored.tenant)

    def find(self, tenant: str) -> Tenant | None:
        """A tenant, if it is at hand."""
        return self._loaded.get(tenant)

    def policy(self, tenant: str, provider: str) -> TenantPolicy:
        """Whose keys serve a tenant that is in use; the default where nobody set it.

        Raises StoreUnavailableError where nothing is known: a policy is never guessed.
        """
        if not tenant:
            return TenantPolicy("", provider, PolicyMode.SYSTEM_ONLY)
        known = self._loaded.get(tenant)
        if known is None:
            raise StoreUnavailableError(f"the policy of tenant {tenant!r} is not known")
        policy = known.policies.get(provider)
        if policy is not None:
            return policy
        falls = self._default_mode is PolicyMode.TENANT_THEN_SYSTEM
        through = FALL_THROUGH if falls else frozenset()
        return TenantPolicy(tenant, provider, self._default_mode, through)

    async def reload(self, tenant: str) -> None:
        """Read a tenant anew after a change of this broker's.

        Where it cannot be read it is forgotten: then it is read when it is next asked for.
        """
        self._changed.add(tenant)  # a reading that is under way begins anew
        try:
            await self._readings.now(tenant)
        except StoreUnavailableError:
            self._forget(tenant)

    def on_changed(self, tenant: str) -> None:
        """The store tells that something of a tenant has changed; one not at hand costs nothing."""
        if tenant in self._loaded or self._readings.is_under_way(tenant):
            self._changed.add(tenant)
            self._readings.soon([tenant])

    def on_missed(self) -> None:
        """Changes may have been missed: what is at hand is doubtful until it is read anew."""
        for name, tenant in self._loaded.items():
            self._doubtful.setdefault(name, self.known_at(tenant))
        self._changed.update(self._readings.under_way)
        self._readings.soon(reversed(self._loaded))

    def hint(self, key_id: str) -> None:
        """Another broker's log tells of a change of a key, perhaps before the store does."""
        key = self._keyring.find(key_id)
        if key is not None and key.owner:
            self.on_changed(key.owner)

    def doubt(self, *tenants: str) -> None:
        """Forget tenants: whether something of them has changed is not known."""
        now = self._clock.now()
        self._doubted = {name: until for name, until in self._doubted.items() if until > now}
        for tenant in tenants:
            self._doubted[tenant] = now + DOUBTED_S
            self._forget(tenant)
            if self._readings.is_under_way(tenant):
                self._changed.add(tenant)

    def on_tick(self) -> None:
        """Once a second: what is at hand may be known to be current, what failed is read anew."""
        self.freshness.confirm()
        self._readings.on_tick()

    async def close(self) -> None:
        """Read nothing more in the background."""
        await self._readings.close()

    def note_deleted(self, key_id: str) -> None:
        """A tenant's key is gone: no lease on it lives on, whatever can be read from now on."""
        self._keys.note_deleted(key_id)

    def was_deleted(self, key_id: str, since: float) -> bool:
        """Was the key deleted at that time or later?"""
        return self._keys.was_deleted(key_id, since)

    def known_at(self, tenant: Tenant) -> float:
        """Up to when a tenant at hand is known to have been as it is here."""
        if self.freshness.is_polled:
            return tenant.read_at
        doubtful = self._doubtful.get(tenant.name)
        return max(self.freshness.confirmed_at if doubtful is None else doubtful, tenant.read_at)

    async def _have(self, tenant: str) -> None:
        """Have a tenant at hand that is as current as it can be."""
        known = self._loaded.get(tenant)
        if known is None or tenant in self._changed or self._is_doubted(tenant):
            await self._readings.now(tenant)
        elif self.freshness.is_stale(self.known_at(known)):
            try:
                await self._readings.now(tenant)
            except StoreUnavailableError as error:
                raise StoreUnavailableError(
                    f"what is known of tenant {tenant!r} is too old to be used: {error}"
                ) from None
        elif self._is_due(tenant):
            await self._renew(tenant)
        if tenant in self._loaded:
            self._loaded.move_to_end(tenant)

    async def _renew(self, tenant: str) -> None:
        """Read a tenant anew, and wait for it where the store answers."""
        if self._readings.is_failing:
            self._readings.soon([tenant])
        else:
            await asyncio.wait({self._readings.start(tenant)}, timeout=RENEWED_WITHIN_S)

    def _is_due(self, tenant: str) -> bool:
        """Is a tenant at hand to be read anew?"""
        known = self._loaded.get(tenant)
        if known is None or tenant in self._changed or tenant in self._doubtful:
            return known is not None
        return self.freshness.is_old(known.read_at, self._foreign(known))

    def _foreign(self, tenant: Tenant) -> Iterator[Key]:
        """The keys of a tenant that come from another system."""
        return (key for key_id in tenant.sources if (key := self._keyring.find(key_id)) is not None)

    def _is_doubted(self, tenant: str) -> bool:
        return bool(self._doubted) and self._doubted.get(tenant, 0.0) > self._clock.now()

    async def _load(self, tenant: str) -> None:
        has_changed = False
        try:
            while True:
                has_changed |= tenant in self._changed
                self._changed.discard(tenant)
                read_at = self._clock.now()
                record = await self._store.tenant(tenant)
                providers = self._keyring.providers
                known = [stored for stored in record.keys if stored.provider in providers]
                held = dict[str, HeldKey | None]()
                for stored in known:
                    held[stored.key_id] = await self._opening.read(stored)
                    if len(held) % PAUSE_EVERY == 0:
                        await asyncio.sleep(0)
                if tenant not in self._changed:
                    break
        except BaseException:
            if has_changed and tenant in self._loaded:
                self._changed.add(tenant)
            raise
        before = self._loaded.get(tenant)
        self._doubtful.pop(tenant, None)
        self._loaded[tenant] = now = self._keys.take(before, record, known, held, read_at)
        self._cost += now.cost - (before.cost if before else 0)
        self._make_room()

    def _make_room(self) -> None:
        """Forget the tenants that were used the longest ago."""
        while self._cost > self._cache_size:
            idle = next((name for name in self._loaded if name not in self._pins), None)
            if idle is None:
                return
            self._forget(idle)

    def _forget(self, name: str) -> None:
        self._changed.discard(name)
        self._doubtful.pop(name, None)
        tenant = self._loaded.pop(name, None)
        if tenant is not None:
            self._cost -= tenant.cost
            self._keys.let_go(tenant)
