"""A broker without a server: real services over fakes, and what a test does to them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import count
from typing import TypedDict, Unpack

from prometheus_client import CollectorRegistry

from broker.adapters.memory import (
    MemoryAgreements,
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryLastGoodStore,
    MemoryMarkStore,
    MemorySealedRows,
)
from broker.adapters.prometheus import PrometheusMeter
from broker.adapters.seal import AesSealer
from broker.app.core import Core, wire
from broker.app.servicers import Servicers, make_servicers
from broker.app.world import StoreView, Tenancy, World
from broker.core.denial import Denial, Target
from broker.core.facts import CallFailed
from broker.core.key import Key, KeyLimits, KeySettings
from broker.core.outcome import Outcome
from broker.core.provider import Provider
from broker.core.scope import Scope, account_scope, key_model_scope, key_scope
from broker.core.secret import Secret
from broker.core.tenancy import PolicyMode
from broker.core.verdicts.dialect import Dialect, ErrorSites, FreeProbe
from broker.core.words import DenialReason, Evidence, Family, Kind, Provenance
from broker.ports.errors import StoreUnavailableError
from broker.ports.key_store import StoredKey
from broker.ports.sealer import RotatingSealer
from broker.services.acquisition import AcquireRequest, Grant
from broker.services.administration import Administration
from broker.services.clearing import Clearing
from broker.services.explain import Explain
from broker.services.inventory import Inventory
from broker.services.keeping import Keeping, NewKey
from broker.services.pacing import LeaseQuotas
from broker.services.policies import Policies
from broker.services.principal import Principal, Role
from broker.services.reports import Report
from broker.services.runnable import Runnable
from broker.services.status import Status
from broker.services.upkeep import Upkeep
from tests.fakes import FakeClock, FakeKeySource, FakeProber
from tests.unit.services.tenants_given import FakeKeyStore

PROBE = FreeProbe("/models", authenticates=True)
SPOKEN = Dialect("spoken", "Spoken", "https://x.test", ErrorSites({}, ()), (), probe=PROBE)
OPENAI = Provider("openai", SPOKEN, "https://openai.test", models=("gpt-4o", "gpt-mini"))
GROQ = Provider("groq", SPOKEN, "https://groq.test", models=("llama",))
GATEWAY = Principal("gateway", frozenset({Role.GATEWAY}))
GPT = Target("openai", "gpt-4o")

FAILURES = {
    Family.LIMIT: Kind.RATE_LIMITED,
    Family.QUOTA: Kind.QUOTA_EXHAUSTED,
    Family.CREDENTIAL: Kind.INVALID_CREDENTIAL,
    Family.ACCESS: Kind.PERMISSION_DENIED,
    Family.HEALTH: Kind.SERVER_ERROR,
}

_ids = count()


class Settled(TypedDict, total=False):
    """What a test may settle about a key."""

    revision: str
    provenance: Provenance
    owner: str
    models: Mapping[str, str]
    priority: int
    account: str
    expires_at: datetime


def a_key(
    key_id: str, provider: str = "openai", *, slots: int = 0, **settled: Unpack[Settled]
) -> Key:
    """A system key with a secret of its own, and no cap unless it has `slots`."""
    key = Key(key_id, f"rev-{key_id}", provider, Secret(f"sk-{key_id}"), Provenance.SYSTEM)
    return replace(key, limits=KeyLimits(concurrency=slots), **settled)


def whole(key: Key) -> Scope:
    """The scope of a key."""
    return key_scope(key.provider, key.key_id, key.revision)


def on_model(key: Key, model: str = "gpt-4o") -> Scope:
    """The scope of a key on one model."""
    return key_model_scope(key.provider, key.key_id, key.revision, model)


def billed(key: Key) -> Scope:
    """The scope of a key's account."""
    return account_scope(key.provider, key.owner, key.account)


@dataclass(frozen=True, slots=True)
class Desk:
    """The services under test, as an app wires them, and the world around them."""

    clock: FakeClock
    source: FakeKeySource
    prober: FakeProber
    core: Core
    servicers: Servicers
    store: FakeKeyStore

    @property
    def keeping(self) -> Keeping:
        return self.servicers.admin.keeping

    @property
    def policies(self) -> Policies:
        return self.servicers.admin.policies

    @property
    def status(self) -> Status:
        return self.servicers.status.status

    @property
    def explain(self) -> Explain:
        return self.servicers.status.explain

    @property
    def runnable(self) -> Runnable:
        return self.servicers.status.runnable

    @property
    def administration(self) -> Administration:
        return self.servicers.admin.administration

    @property
    def clearing(self) -> Clearing:
        return self.servicers.admin.clearing

    @property
    def inventory(self) -> Inventory:
        return self.servicers.admin.inventory

    @property
    def upkeep(self) -> Upkeep:
        return self.servicers.admin.upkeep

    async def keep(
        self,
        key_id: str,
        tenant: str = "acme",
        provider: str = "openai",
        *,
        secret: str = "",
        settings: KeySettings | None = None,
    ) -> StoredKey:
        """Give a tenant a key with a secret of its own."""
        plaintext = Secret(secret or f"sk-{tenant}-{key_id}")
        new = NewKey(tenant, provider, plaintext, key_id, settings or KeySettings())
        return await self.keeping.create("ops", new)

    async def allow(
        self, mode: PolicyMode, *fall_through: DenialReason, tenant: str = "acme"
    ) -> None:
        """Set a tenant's policy for openai."""
        await self.policies.put("ops", tenant, "openai", mode, fall_through)

    async def leased_for(self, tenant: str = "acme", target: Target = GPT) -> str:
        """The key that a tenant is leased, or why it is not."""
        try:
            answer = await self.lease(AcquireRequest(target, tenant))
        except StoreUnavailableError:
            return "UNAVAILABLE"
        return answer.key.key_id if isinstance(answer, Grant) else answer.reason.value

    async def lease(self, request: AcquireRequest | None = None) -> Grant | Denial:
        """Acquire for the gateway."""
        return await self.core.leasing.acquire(GATEWAY, request or AcquireRequest(GPT))

    async def granted(self, request: AcquireRequest | None = None) -> Grant:
        """Acquire what is surely granted."""
        answer = await self.lease(request)
        assert isinstance(answer, Grant)
        return answer

    async def report(self, grant: Grant, http_status: int = 200) -> None:
        """Report how a call went."""
        outcome = Outcome(http_status=http_status, outcome_id=f"o{next(_ids)}")
        await self.core.outcomes.report(GATEWAY, Report(grant.lease_id, outcome))

    async def fail(self, scope: Scope, family: Family, hint_s: float = 0.0) -> None:
        """Let a failure of a family be known."""
        failed = CallFailed(
            fact_id=f"f{next(_ids)}",
            provider=scope.provider,
            replica="here",
            scope=scope,
            family=family,
            kind=FAILURES[family],
            evidence=Evidence.CERTAIN,
            hint_s=hint_s,
            reported_by="gateway",
            probeable=True,
        )
        await self.core.health.submit([failed])


async def a_desk(
    *keys: Key,
    store: FakeKeyStore | None = None,
    tenancy: Tenancy | None = None,
    sealer: RotatingSealer | None = None,
    broken: str = "",
) -> Desk:
    """A broker that has read these keys; `broken` is what is wrong with its database."""
    clock, source, prober = FakeClock(), FakeKeySource(keys), FakeProber()
    store, last_good = store or FakeKeyStore(), MemoryLastGoodStore()
    world = World(
        replica="here",
        clock=clock,
        sources=[source],
        prober=prober,
        log=MemoryFactLog(clock),
        claims=MemoryClaims(),
        mark_store=MemoryMarkStore(),
        key_store=store,
        last_good=last_good,
        sealer=sealer or AesSealer.of_keys(bytes(32)),
        sealed_rows=MemorySealedRows(store, last_good),
        agreements=MemoryAgreements(),
        history=MemoryEventHistory(),
        make_meter=partial(PrometheusMeter, CollectorRegistry(), clock),
        secrets=(b"signing",),
        fingerprint_secret=b"fingerprint",
        quotas=LeaseQuotas(),
        tenancy=tenancy or Tenancy(),
        store=StoreView(fault=lambda: broken),
    )
    core = wire({"openai": OPENAI, "groq": GROQ}, world)
    await core.health.follow()
    await core.refreshing.refresh()
    return Desk(clock, source, prober, core, make_servicers(core, {"spoken": SPOKEN}), store)
