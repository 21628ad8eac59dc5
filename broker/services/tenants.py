"""Tenants in use: their policies and keys, read from the store when they are asked for."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.core.tenancy import FALL_THROUGH, PolicyMode, TenantPolicy
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import KeyStore, StoredKey, TenantRecord
from broker.services.errors import KeyUnknownError
from broker.services.keyring import Keyring
from broker.services.opening import Opening, described

DOUBTED_S = 60.0
"""After a change whose answer was lost, a tenant is read anew at each use for this long: by then
the change is there or never will be."""

DELETED_S = 2 * 3600.0
"""A deleted key is remembered for longer than any lease on it can live."""

PAUSE_EVERY = 100
"""Keys that are opened before others may run."""

_NO_POLICIES: Mapping[str, TenantPolicy] = MappingProxyType({})
_NO_KEYS: Mapping[str, Key] = MappingProxyType({})


class KeyPlace(NamedTuple):
    """Where a key belongs; an empty tenant marks a system key."""

    key_id: str
    provider: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """What is known of a tenant in use.

    `unreadable` are keys that cannot be opened, by id and without a secret.
    """

    name: str
    policies: Mapping[str, TenantPolicy] = field(default_factory=lambda: _NO_POLICIES)
    key_ids: frozenset[str] = frozenset()
    unreadable: Mapping[str, Key] = field(default_factory=lambda: _NO_KEYS)

    @property
    def cost(self) -> int:
        """How much of the cache it takes."""
        return 1 + len(self.key_ids)


class Tenants:
    """A bounded cache of tenants; what is pinned stays, else the least used goes first."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        store: KeyStore,
        opening: Opening,
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
        self._loaded: OrderedDict[str, Tenant] = OrderedDict()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._changed: set[str] = set()
        self._doubted: dict[str, float] = {}
        self._deleted: dict[str, float] = {}
        self._pins: Counter[str] = Counter()
        self._cost = 0

    @property
    def cost(self) -> int:
        """How much of the cache is taken; over its size only by what is in use."""
        return self._cost

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
            if tenant in self._loaded and not self._is_doubted(tenant):
                self._loaded.move_to_end(tenant)
            else:
                await self._single_flight(tenant)
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
        is_at_hand = tenant in self._loaded
        async with AsyncExitStack() as stack:
            with suppress(StoreUnavailableError, TimeoutError):
                async with asyncio.timeout(None if is_at_hand else within_s):
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
        """Read a tenant anew after a change.

        Where it cannot be read it is forgotten: then it is read when it is next asked for.
        """
        self._changed.add(tenant)  # a reading that is under way begins anew
        try:
            await self._single_flight(tenant)
        except StoreUnavailableError:
            self._forget(tenant)

    def doubt(self, tenant: str) -> None:
        """Forget a tenant: whether something of it has changed is not known."""
        now = self._clock.now()
        self._doubted = {name: until for name, until in self._doubted.items() if until > now}
        self._doubted[tenant] = now + DOUBTED_S
        self._changed.add(tenant)
        self._forget(tenant)

    def note_deleted(self, key_id: str) -> None:
        """A tenant's key is gone: no lease on it lives on, whatever can be read from now on."""
        now = self._clock.now()
        self._deleted.pop(key_id, None)  # the first in order is the longest ago
        self._deleted[key_id] = now
        while (oldest := next(iter(self._deleted.items())))[1] < now - DELETED_S:
            del self._deleted[oldest[0]]
        self._keyring.let_go(key_id)

    def was_deleted(self, key_id: str, since: float) -> bool:
        """Was the key deleted at that time or later?"""
        deleted_at = self._deleted.get(key_id)
        return deleted_at is not None and deleted_at >= since

    def _is_doubted(self, tenant: str) -> bool:
        return bool(self._doubted) and self._doubted.get(tenant, 0.0) > self._clock.now()

    async def _single_flight(self, tenant: str) -> None:
        task = self._loading.get(tenant)
        if task is None or task.done():
            task = self._loading[tenant] = asyncio.create_task(self._load(tenant))
            task.add_done_callback(lambda done: self._landed(tenant, done))
        await asyncio.shield(task)

    def _landed(self, tenant: str, task: asyncio.Task[None]) -> None:
        if self._loading.get(tenant) is task:
            del self._loading[tenant]
        if not task.cancelled():
            task.exception()  # those who waited were told

    async def _load(self, tenant: str) -> None:
        while True:
            self._changed.discard(tenant)
            record = await self._store.tenant(tenant)
            known = [stored for stored in record.keys if stored.provider in self._keyring.providers]
            held = dict[str, HeldKey | None]()
            for stored in known:
                held[stored.key_id] = await self._opening.read(stored)
                if len(held) % PAUSE_EVERY == 0:
                    await asyncio.sleep(0)
            if tenant not in self._changed:
                break
        self._install(record, known, held)

    def _install(
        self, record: TenantRecord, stored: list[StoredKey], held: Mapping[str, HeldKey | None]
    ) -> None:
        """Put what was read in place of what was known."""
        before = self._loaded.pop(record.tenant, None)
        unreadable = {key.key_id: described(key) for key in stored if held[key.key_id] is None}
        tenant = Tenant(record.tenant, record.policies, frozenset(held), unreadable)
        for key_id in before.key_ids if before else ():
            if held.get(key_id) is None:
                self._let_go(record.tenant, key_id)
        for key in held.values():
            if key is not None:
                known = self._keyring.held(key.key.key_id)
                is_same = known is not None and known.key.owner == record.tenant
                self._keyring.take(key.remembering(known) if known and is_same else key)
        bad: dict[str, set[str]] = {}
        for key_id, shown in unreadable.items():
            bad.setdefault(shown.provider, set()).add(key_id)
        self._keyring.note_unreadable(record.tenant, bad)
        self._loaded[record.tenant] = tenant
        self._cost += tenant.cost - (before.cost if before else 0)
        self._make_room()

    def _make_room(self) -> None:
        """Forget the tenants that were used the longest ago."""
        while self._cost > self._cache_size:
            idle = next((name for name in self._loaded if name not in self._pins), None)
            if idle is None:
                return
            self._forget(idle)

    def _forget(self, name: str) -> None:
        tenant = self._loaded.pop(name, None)
        if tenant is None:
            return
        self._cost -= tenant.cost
        for key_id in tenant.key_ids:
            self._let_go(name, key_id)
        self._keyring.note_unreadable(name, {})

    def _let_go(self, tenant: str, key_id: str) -> None:
        """Hold a key no more, unless it is another's: a row may have been moved."""
        key = self._keyring.find(key_id)
        if key is not None and key.owner == tenant:
            self._keyring.let_go(key_id)
