"""The facts replicas share: things that happened and change health, in one ordered log a provider.

A fact says what happened, never what the state should be: every replica folds the same log and so
comes to the same state. A fact is stamped with `age_s` when it is appended, since clocks differ:
happened = log time - age.
"""

from dataclasses import dataclass
from typing import TypeAlias

from broker.core.scope import Scope, Upstream
from broker.core.words import Evidence, Family, Kind, ProbeResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FactBase:
    """What every fact carries: an id that folds once, its provider, and the replica it is from.

    `lead_s` is how long before the fact its call or probe had started.
    """

    fact_id: str
    provider: str
    replica: str
    lead_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed(FactBase):
    """A verdict against one circuit.

    `hint_s` is how long the provider said it lasts (0: it did not say), quota windows resolved.
    `is_trial` marks the half-open circuit's own trial. `probeable` says that the dialect has a
    probe which authenticates.
    """

    scope: Scope
    family: Family
    kind: Kind
    evidence: Evidence
    hint_s: float = 0.0
    rule: str = ""
    reported_by: str = ""
    model: str = ""
    is_trial: bool = False
    probeable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnded(FactBase):
    """A trial lease ended without failing this circuit's family: it passed, or proved nothing."""

    scope: Scope
    family: Family
    passed: bool
    reported_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeEnded(FactBase):
    """A probe of one revision ended; `reached` says that the provider answered at all."""

    key_id: str
    revision: str
    result: ProbeResult
    reached: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitCleared(FactBase):
    """An operator cleared a scope's circuits: one family's, or all (None)."""

    scope: Scope
    family: Family | None
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRetired(FactBase):
    """A revision is gone from its source: nothing about it can matter again."""

    key_id: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionAdopted(FactBase):
    """A key's other revision is leased from now on: a hint to other replicas to read it.

    `proven` says that the provider accepted it, so that they need not probe it again.
    """

    key_id: str
    revision: str
    replaced: str = ""
    proven: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamCounted(FactBase):
    """One replica's counts of one upstream and principal in one second of log time: signed sums."""

    upstream: Upstream
    principal: str
    second: int
    succeeded: int = 0
    failed: int = 0
    unreachable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentChanged(FactBase):
    """Keys of one owner class began, or ceased, to be rejected together.

    `joined` says that the incident was open already and more keys joined it. `used` counts the keys
    that it was judged against, `detail` says what the rejections have in common; `lasted_s` is set
    when it is over.
    """

    owner_class: str
    key_ids: tuple[str, ...]
    opened: bool
    joined: bool = False
    used: int = 0
    detail: str = ""
    lasted_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkAnnounced(FactBase):
    """An operator's durable mark changed (disabled, enabled, revoked): a hint to read it anew."""

    mark: str
    subject: str
    principal: str
    reason: str = ""


Fact: TypeAlias = (
    CallFailed
    | TrialEnded
    | ProbeEnded
    | CircuitCleared
    | RevisionRetired
    | RevisionAdopted
    | UpstreamCounted
    | IncidentChanged
    | MarkAnnounced
)

CIRCUIT_FACTS = (CallFailed, TrialEnded, ProbeEnded, CircuitCleared, RevisionRetired)
"""Facts that move circuits: one that would move none is not worth logging."""
