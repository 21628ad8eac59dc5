"""Whatever happens in whatever order: a tenant is leased what its policy allows, and nothing else.

Random stories of keys, policies, trouble, outages and a cache that is too small are told to the
broker and to a model of a few lines, which knows neither cache nor store.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.app.world import Tenancy
from broker.core.key import KeyLimits, KeySettings
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.words import DenialReason, Family
from broker.ports.errors import StoreUnavailableError
from broker.services.acquisition import AcquireRequest
from broker.services.errors import ChangeUncertainError
from broker.services.explain import WouldGrant
from tests.fakes import settle
from tests.unit.services.status_given import GPT, Desk, a_desk, a_key, whole

TENANTS = ("acme", "evil", "third")
SYSTEM = "s1"
DENIALS = {"NO_KEYS", "QUARANTINED", "EXHAUSTED"}
FALLS = {DenialReason.QUARANTINED}


class Step(NamedTuple):
    """One thing that happens; not every kind uses every field."""

    kind: str
    tenant: str
    number: int
    mode: PolicyMode


@dataclass
class Model:
    """Keys by tenant with their trouble, if any, and the policies that were set."""

    keys: dict[str, dict[str, Family | None]] = field(
        default_factory=lambda: {name: {} for name in TENANTS}
    )
    policies: dict[str, PolicyMode] = field(default_factory=dict)

    def may_lease(self, tenant: str) -> set[str]:
        """The keys of which the tenant must be leased one; none: it must be denied."""
        keys = self.keys[tenant]
        good = {key_id for key_id, trouble in keys.items() if trouble is None}
        falls = all(trouble is Family.CREDENTIAL for trouble in keys.values())
        match self.policies.get(tenant, PolicyMode.SYSTEM_ONLY):
            case PolicyMode.SYSTEM_ONLY:
                return {SYSTEM}
            case PolicyMode.TENANT_ONLY:
                return good
            case PolicyMode.TENANT_THEN_SYSTEM:
                return {SYSTEM} if falls else good


@dataclass
class Story:
    """The broker and the model, told the same."""

    desk: Desk
    model: Model = field(default_factory=Model)

    async def tell(self, step: Step) -> None:
        await getattr(self, step.kind)(step)
        for tenant in TENANTS if step.number % 2 else (step.tenant,):
            await self.check(tenant)

    async def check(self, tenant: str) -> None:
        explained, expected = await self.explained(tenant), self.model.may_lease(tenant)
        leased = await self.desk.leased_for(tenant)
        assert explained == leased or {explained, leased} <= expected
        if leased == "UNAVAILABLE":
            assert self.desk.store.is_down
        elif expected:
            assert leased in expected
        else:
            assert leased in DENIALS

    async def explained(self, tenant: str) -> str:
        """The key that the tenant would be leased, or why it would not."""
        try:
            told = await self.desk.explain.acquire("gateway", AcquireRequest(GPT, tenant))
        except StoreUnavailableError:
            return "UNAVAILABLE"
        if isinstance(told.answer, WouldGrant):
            return told.answer.key.key_id
        return told.answer.reason.value

    async def create(self, step: Step) -> None:
        key_id = f"{step.tenant}-{step.number % 3}"
        if key_id in self.model.keys[step.tenant]:
            return
        limits = KeyLimits(concurrency=1000 if step.number % 2 else 0)
        create = self.desk.keep(key_id, step.tenant, settings=KeySettings(limits=limits))
        if not await self.is_made(step.tenant, create):
            return
        self.model.keys[step.tenant][key_id] = None
        self.model.policies.setdefault(step.tenant, PolicyMode.TENANT_ONLY)

    async def is_made(self, tenant: str, change: Coroutine[None, None, object]) -> bool:
        """Was the change made; where the broker cannot tell, the model looks behind the scenes."""
        try:
            await change
        except StoreUnavailableError:
            assert self.desk.store.is_down
            return False
        except ChangeUncertainError:
            assert self.desk.store.is_down
            await self.look_up(tenant)
            return False
        return True

    async def look_up(self, tenant: str) -> None:
        record, known = await self.desk.store.inner.tenant(tenant), self.model.keys[tenant]
        self.model.keys[tenant] = {key.key_id: known.get(key.key_id) for key in record.keys}
        if "openai" in record.policies:
            self.model.policies[tenant] = record.policies["openai"].mode

    async def delete(self, step: Step) -> None:
        for key_id in sorted(self.model.keys[step.tenant])[:1]:
            if await self.is_made(step.tenant, self.desk.keeping.delete("ops", key_id)):
                del self.model.keys[step.tenant][key_id]

    async def rotate(self, step: Step) -> None:
        """The new secret waits: what is leased stays the same."""
        for key_id in sorted(self.model.keys[step.tenant])[:1]:
            secret = Secret(f"sk-{key_id}-{step.number}")
            await self.is_made(step.tenant, self.desk.keeping.rotate("ops", key_id, secret))

    async def allow(self, step: Step) -> None:
        falls = FALLS if step.mode is PolicyMode.TENANT_THEN_SYSTEM else set()
        if await self.is_made(step.tenant, self.desk.allow(step.mode, *falls, tenant=step.tenant)):
            self.model.policies[step.tenant] = step.mode

    async def race(self, step: Step) -> None:
        """Acquires while something changes may see either; those after it the new state alone."""
        before = self.model.may_lease(step.tenant) or DENIALS
        if step.number % 3 == 0:
            await self.evict(step)
        self.desk.store.gate = gate = asyncio.Event()
        acquires = [asyncio.ensure_future(self.desk.leased_for(step.tenant)) for _ in range(3)]
        await settle()
        change = (self.allow, self.delete, self.create)[step.number % 3]
        changing = asyncio.ensure_future(change(step))
        acquires += [asyncio.ensure_future(self.desk.leased_for(step.tenant)) for _ in range(3)]
        await settle()
        gate.set()
        self.desk.store.gate = None
        await changing
        await self.check(step.tenant)
        after = self.model.may_lease(step.tenant) or DENIALS
        told = set(await asyncio.gather(*acquires))
        assert told <= before | after | ({"UNAVAILABLE"} if self.desk.store.is_down else set())

    async def quarantine(self, step: Step) -> None:
        await self._trouble(step, Family.CREDENTIAL)

    async def exhaust(self, step: Step) -> None:
        await self._trouble(step, Family.QUOTA)

    async def heal(self, step: Step) -> None:
        await self._trouble(step, None)

    async def _trouble(self, step: Step, family: Family | None) -> None:
        for key_id in sorted(self.model.keys[step.tenant])[:1]:
            async with self.desk.core.tenants.using_if_possible(step.tenant):
                key = self.desk.core.keyring.find(key_id)
                if key is None:
                    return  # not at hand: nobody can have a lease on it to report
                await self.desk.clearing.clear("ops", whole(key), None)
                if family is not None:
                    await self.desk.fail(whole(key), family)
                self.model.keys[step.tenant][key_id] = family

    async def outage(self, step: Step) -> None:
        self.desk.store.is_down = bool(step.number % 2)

    async def lose_answers(self, step: Step) -> None:
        self.desk.store.loses_answers = bool(step.number % 2)

    async def die_of_change(self, step: Step) -> None:
        self.desk.store.dies_of_changes = bool(step.number % 2)

    async def evict(self, step: Step) -> None:
        """Other tenants come by, more than the cache holds."""
        for number in range(8):
            await self.desk.leased_for(f"stranger-{step.number}-{number}")

    async def leave(self, step: Step) -> None:
        """A caller goes away in the middle of it."""
        leaving = asyncio.ensure_future(self.desk.leased_for(step.tenant))
        for _ in range(step.number):
            await asyncio.sleep(0)
        leaving.cancel()
        await settle()


KINDS = (
    *(
        "create",
        "create",
        "create",
        "allow",
        "quarantine",
        "delete",
        "rotate",
        "allow",
        "race",
        "quarantine",
        "exhaust",
        "heal",
    ),
    *("outage", "lose_answers", "die_of_change", "evict", "leave"),
)
STEPS = st.builds(
    Step,
    st.sampled_from(KINDS),
    st.sampled_from(TENANTS),
    st.integers(0, 5),
    st.sampled_from(PolicyMode),
)


async def tell(steps: list[Step], cache_size: int) -> None:
    tenancy = Tenancy(cache_size=cache_size)
    story = Story(await a_desk(a_key(SYSTEM, slots=100_000), tenancy=tenancy))
    for step in steps:
        await story.tell(step)
    assert story.desk.core.tenants.cost <= cache_size
    await story.desk.core.health.close()


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=30), st.sampled_from((0, 1, 5, 100)))
def test_a_tenant_is_leased_what_its_policy_allows_and_nothing_else(
    steps: list[Step], cache_size: int
) -> None:
    asyncio.run(tell(steps, cache_size))
