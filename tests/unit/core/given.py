"""Keys, leases and facts as the tests of the core need them; `replace` varies the rest."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from broker.core.circuit import Circuit
from broker.core.facts import CallFailed, Fact, ProbeEnded, TrialEnded
from broker.core.fold import Change, fold
from broker.core.health import Health
from broker.core.key import Key, KeyLimits
from broker.core.lease_token import LeaseClaims
from broker.core.scope import (
    Scope,
    Upstream,
    account_scope,
    key_model_scope,
    key_scope,
    upstream_scope,
)
from broker.core.secret import Secret
from broker.core.verdicts.dialect import Dialect, ErrorSites, FreeProbe
from broker.core.words import Evidence, Family, Kind, ProbeResult, Provenance, State

NOW = 1_750_000_000.0
PROVIDER = "openai"
MODEL = "gpt-4o"
UPSTREAM = Upstream(PROVIDER, "", MODEL)
KEY = key_scope(PROVIDER, "k1", "r1")
KEY_MODEL = key_model_scope(PROVIDER, "k1", "r1", MODEL)
ACCOUNT = account_scope(PROVIDER, "", "main")

PROBED = Dialect(
    name="probed",
    title="Its free call authenticates",
    base_url="https://probed.test",
    errors=ErrorSites({}, ()),
    rules=(),
    probe=FreeProbe("/models", authenticates=True),
)
UNPROBED = Dialect(
    name="unprobed",
    title="It has no free call",
    base_url="https://unprobed.test",
    errors=ErrorSites({}, ()),
    rules=(),
)

TROUBLES: Mapping[Family, tuple[Scope, Kind]] = MappingProxyType(
    {
        Family.LIMIT: (KEY_MODEL, Kind.RATE_LIMITED),
        Family.QUOTA: (ACCOUNT, Kind.QUOTA_EXHAUSTED),
        Family.CREDENTIAL: (KEY, Kind.INVALID_CREDENTIAL),
        Family.ACCESS: (KEY_MODEL, Kind.PERMISSION_DENIED),
        Family.HEALTH: (upstream_scope(UPSTREAM), Kind.SERVER_ERROR),
    }
)
"""A usual scope and kind of each family."""


def failed(
    fact_id: str,
    family: Family,
    *,
    lead_s: float = 0.0,
    hint_s: float = 0.0,
    is_trial: bool = False,
    probeable: bool = False,
) -> CallFailed:
    """A failed call of a family, on its usual scope."""
    scope, kind = TROUBLES[family]
    return CallFailed(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        lead_s=lead_s,
        scope=scope,
        family=family,
        kind=kind,
        evidence=Evidence.CERTAIN,
        hint_s=hint_s,
        rule=f"rule:{fact_id}",
        reported_by="gateway",
        model=MODEL,
        is_trial=is_trial,
        probeable=probeable,
    )


def weak(fact_id: str, *, model: str = MODEL, lead_s: float = 0.0) -> CallFailed:
    """A vague Unauthorized: weak evidence against the credential, kept on the key's model."""
    return CallFailed(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        lead_s=lead_s,
        scope=key_model_scope(PROVIDER, "k1", "r1", model),
        family=Family.ACCESS,
        kind=Kind.INVALID_CREDENTIAL,
        evidence=Evidence.WEAK,
        reported_by="gateway",
        model=model,
        probeable=True,
    )


def trial(fact_id: str, family: Family, *, passed: bool, lead_s: float = 0.0) -> TrialEnded:
    """The end of a trial of a family, on its usual scope."""
    return TrialEnded(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        lead_s=lead_s,
        scope=TROUBLES[family][0],
        family=family,
        passed=passed,
    )


def probed(
    fact_id: str, result: ProbeResult, *, lead_s: float = 0.0, reached: bool = True
) -> ProbeEnded:
    """The end of a probe of k1, revision r1."""
    return ProbeEnded(
        fact_id=fact_id,
        provider=PROVIDER,
        replica="a",
        lead_s=lead_s,
        key_id="k1",
        revision="r1",
        result=result,
        reached=reached,
    )


def make_key(
    key_id: str = "k1",
    *,
    models: Mapping[str, str] = MappingProxyType({}),
    weight: float = 1.0,
    priority: int = 0,
    account: str = "",
    concurrency: int = 0,
) -> Key:
    """A system key of the provider."""
    return Key(
        key_id=key_id,
        revision="r1",
        provider=PROVIDER,
        secret=Secret(f"sk-{key_id}"),
        provenance=Provenance.SYSTEM,
        models=models,
        weight=weight,
        priority=priority,
        limits=KeyLimits(concurrency=concurrency),
        account=account,
    )


LEASE = LeaseClaims(
    uid="u1",
    key_id="k1",
    revision="r1",
    owner="",
    account="main",
    provenance=Provenance.SYSTEM,
    upstream=UPSTREAM,
    tenant="t1",
    principal="gateway",
    first_granted_at=NOW - 100.0,
    granted_at=NOW - 10.0,
    ends_at=NOW + 290.0,
)


class Story:
    """One provider's health, told fact by fact; log time is where the last fact left it."""

    def __init__(self) -> None:
        self.health = Health()
        self.now = NOW

    def tell(self, fact: Fact, *, after_s: float = 0.0, age_s: float = 0.0) -> list[Change]:
        """Fold `fact` `after_s` seconds later."""
        self.now += after_s
        return fold(self.health, fact, self.now, age_s)

    def find(self, family: Family, scope: Scope | None = None) -> Circuit | None:
        """The record of a family, on its usual scope unless told otherwise."""
        return self.health.circuit(scope or TROUBLES[family][0], family, self.now)

    def circuit(self, family: Family, scope: Scope | None = None) -> Circuit:
        """The record, which must be there."""
        record = self.find(family, scope)
        assert record is not None
        return record

    def state(self, family: Family, scope: Scope | None = None) -> State:
        """The state of a circuit now; no record means closed."""
        record = self.find(family, scope)
        return record.standing(self.now).state if record else State.CLOSED


def a_revision(name: str, **settled: float) -> Key:
    """A revision of the key "k"; its secret has its name."""
    key = Key("k", name, PROVIDER, Secret(f"sk-{name}"), Provenance.SYSTEM)
    return replace(key, weight=settled.get("weight", 1.0))
