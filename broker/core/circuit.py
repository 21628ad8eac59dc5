"""The one state machine: a circuit, the health record of one (scope, family).

    closed --trip--> open(until, level) --until--> half-open --trial or probe passes--> ramping
      ^                 ^                             |                                    |
      |                 +---- same family fails ------+                                    |
      +------------------------------- by time --------------------------------------------+

No record means closed. States are derived at read time from `until` and `reopened_at`, so a circuit
needs no timer. TRANSITIONS is total over (state, event): what is not a change is named IGNORE.
Instants are epoch seconds of the fact log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

from broker.core.policy import (
    FAMILIES,
    JITTER_FRACTION,
    JITTER_MAX_S,
    LEVEL_DECAY_S,
    RAMP_STEPS,
    RECORD_TTL_S,
    Healing,
    Policy,
)
from broker.core.scope import Scope
from broker.core.words import Family, Kind, State


class Event(StrEnum):
    """What can happen to a circuit; LATE ones began before the current state did."""

    FAILED = "failed"
    FAILED_LATE = "failed_late"
    TRIAL_FAILED = "trial_failed"
    PASSED = "passed"
    PASSED_LATE = "passed_late"
    RETURNED = "returned"
    CLEARED = "cleared"


class Action(StrEnum):
    """What a circuit does about an event."""

    TRIP = "open, one level up unless the provider gave a hint"
    LENGTHEN = "stay open, longer if the hint says so"
    REOPEN = "ramp up"
    RESTEP = "wait another backoff step, where a probe is what heals"
    DROP = "close and forget"
    IGNORE = "no change"


TRANSITIONS: Mapping[tuple[State, Event], Action] = MappingProxyType(
    {
        (State.CLOSED, Event.FAILED): Action.TRIP,
        (State.CLOSED, Event.FAILED_LATE): Action.IGNORE,
        (State.CLOSED, Event.TRIAL_FAILED): Action.TRIP,
        (State.CLOSED, Event.PASSED): Action.IGNORE,
        (State.CLOSED, Event.PASSED_LATE): Action.IGNORE,
        (State.CLOSED, Event.RETURNED): Action.IGNORE,
        (State.CLOSED, Event.CLEARED): Action.DROP,
        (State.OPEN, Event.FAILED): Action.LENGTHEN,
        (State.OPEN, Event.FAILED_LATE): Action.LENGTHEN,
        (State.OPEN, Event.TRIAL_FAILED): Action.LENGTHEN,
        (State.OPEN, Event.PASSED): Action.REOPEN,
        (State.OPEN, Event.PASSED_LATE): Action.IGNORE,
        (State.OPEN, Event.RETURNED): Action.IGNORE,
        (State.OPEN, Event.CLEARED): Action.DROP,
        (State.HALF_OPEN, Event.FAILED): Action.IGNORE,
        (State.HALF_OPEN, Event.FAILED_LATE): Action.IGNORE,
        (State.HALF_OPEN, Event.TRIAL_FAILED): Action.TRIP,
        (State.HALF_OPEN, Event.PASSED): Action.REOPEN,
        (State.HALF_OPEN, Event.PASSED_LATE): Action.IGNORE,
        (State.HALF_OPEN, Event.RETURNED): Action.RESTEP,
        (State.HALF_OPEN, Event.CLEARED): Action.DROP,
        (State.RAMPING, Event.FAILED): Action.TRIP,
        (State.RAMPING, Event.FAILED_LATE): Action.IGNORE,
        (State.RAMPING, Event.TRIAL_FAILED): Action.TRIP,
        (State.RAMPING, Event.PASSED): Action.IGNORE,
        (State.RAMPING, Event.PASSED_LATE): Action.IGNORE,
        (State.RAMPING, Event.RETURNED): Action.IGNORE,
        (State.RAMPING, Event.CLEARED): Action.DROP,
    }
)


class Standing(NamedTuple):
    """A circuit's state at one instant, when that state began and (inf: until an event) ends."""

    state: State
    began: float
    ends: float


FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Circuit:
    """The record of one (scope, family) that is or lately was in trouble.

    `hint_s` is the longest provider hint in force; `since` the start of the whole episode;
    `reopened_at` the start of the ramp, None before. `model` and `reported_by` say whose report on
    which model opened it. For credential evidence: `evidence_at` is set while a probe owes an
    answer, `confirmed` once a probe or trial was rejected, `inconclusive` counts probes that
    reached the provider and proved nothing, `probeable` says that the dialect's probe can prove.
    """

    scope: Scope
    family: Family
    kind: Kind
    level: int
    opened_at: float
    until: float
    since: float
    hint_s: float = 0.0
    reopened_at: float | None = None
    rule: str = ""
    reported_by: str = ""
    model: str = ""
    evidence_at: float | None = None
    confirmed: bool = False
    inconclusive: int = 0
    probeable: bool = False

    def standing(self, now: float) -> Standing:
        """Where the circuit stands at `now`."""
        family = FAMILIES[self.family]
        ramp_began = self.reopened_at
        if ramp_began is None:
            if now < self.until:
                return Standing(State.OPEN, self.opened_at, self.until)
            if family.healing is not Healing.TIME:
                return Standing(State.HALF_OPEN, self.until, FOREVER)
            ramp_began = self.until
        closes = ramp_began + RAMP_STEPS * family.ramp_step_s
        if now < closes:
            return Standing(State.RAMPING, ramp_began, closes)
        return Standing(State.CLOSED, closes, FOREVER)

    def fence(self, now: float) -> float:
        """What began before this instant is late evidence; once healed, before the ramp."""
        standing = self.standing(now)
        if standing.state is not State.CLOSED:
            return standing.began
        return self.until if self.reopened_at is None else self.reopened_at

    def level_at(self, now: float) -> int:
        """The level after decay: one less for each healthy LEVEL_DECAY_S since it closed."""
        standing = self.standing(now)
        if standing.state is not State.CLOSED:
            return self.level
        return max(0, self.level - int((now - standing.began) // LEVEL_DECAY_S))

    def is_spent(self, now: float) -> bool:
        """Is there nothing left to remember: healed and decayed, or (not credential) too old?"""
        if self.standing(now).state is State.CLOSED and self.level_at(now) == 0:
            return True
        return self.family is not Family.CREDENTIAL and now >= self.until + RECORD_TTL_S

    def ramp_allowance(self, now: float) -> int:
        """Leases a replica may grant since the ramp began: 2**n after n whole steps."""
        steps = int((now - self.standing(now).began) // FAMILIES[self.family].ramp_step_s)
        return 1 << max(steps, 0)

    def ramp_step_ends(self, now: float) -> float:
        """When the ramp's current step ends and its allowance doubles."""
        step_s = FAMILIES[self.family].ramp_step_s
        began = self.standing(now).began
        return began + (int((now - began) // step_s) + 1) * step_s


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as circuits see it: what it was, and how long the provider said it lasts."""

    kind: Kind
    policy: Policy
    fact_id: str
    hint_s: float = 0.0
    rule: str = ""
    reported_by: str = ""
    model: str = ""
    confirmed: bool = False
    awaits_probe: bool = False
    probeable: bool = False
    by_probe: bool = False


def jitter_s(duration_s: float, fact_id: str) -> float:
    """Upwards-only spread, the same on every replica because the fact's id decides it."""
    share = int.from_bytes(blake2b(fact_id.encode(), digest_size=4).digest()) / 2**32
    return min(duration_s * JITTER_FRACTION, JITTER_MAX_S) * share


def trip(
    record: Circuit | None, scope: Scope, failure: Failure, at: float, happened: float
) -> Circuit:
    """Open the circuit for a failure that `happened` and was logged `at`; hints keep the level."""
    standing = record.standing(at) if record else None
    level = record.level_at(at) if record else 0
    if failure.hint_s <= 0 and not failure.policy.is_capped(level):
        level += 1
    open_s = failure.hint_s or failure.policy.backoff_s(level)
    until = happened + open_s + jitter_s(open_s, failure.fact_id)
    healed = standing is None or standing.state is State.CLOSED
    return Circuit(
        scope=scope,
        family=failure.policy.family,
        kind=failure.kind,
        level=level,
        opened_at=happened,
        until=max(until, record.until) if record else until,
        since=happened if healed or record is None else record.since,
        hint_s=failure.hint_s,
        rule=failure.rule,
        reported_by=failure.reported_by,
        model=failure.model,
        evidence_at=happened if failure.awaits_probe else None,
        confirmed=failure.confirmed,
        inconclusive=0 if record is None or healed or failure.by_probe else record.inconclusive,
        probeable=failure.probeable,
    )


def lengthen(record: Circuit, failure: Failure, happened: float, *, late: bool) -> Circuit:
    """Move `until` out for a hint; late failures of one burst only for a longer one."""
    confirmed = record.confirmed or failure.confirmed
    evidence_at = None if failure.confirmed else record.evidence_at
    longest = failure.hint_s > record.hint_s
    if failure.hint_s <= 0 or (late and not longest):
        return replace(record, confirmed=confirmed, evidence_at=evidence_at)
    until = happened + failure.hint_s + jitter_s(failure.hint_s, failure.fact_id)
    return replace(
        record,
        until=max(record.until, until),
        hint_s=max(record.hint_s, failure.hint_s),
        kind=failure.kind if longest else record.kind,
        rule=failure.rule if longest else record.rule,
        confirmed=confirmed,
        evidence_at=evidence_at,
    )


def reopen(record: Circuit, happened: float) -> Circuit:
    """Start the ramp: the level stays and decays once closed; the deadline is over for good."""
    return replace(
        record,
        until=min(record.until, happened),
        reopened_at=happened,
        evidence_at=None,
        confirmed=False,
        inconclusive=0,
        hint_s=0.0,
    )


def restep(record: Circuit, policy: Policy, happened: float) -> Circuit:
    """A trial proved nothing: credential circuits wait another backoff step, others try again."""
    if record.family is not Family.CREDENTIAL:
        return record
    return replace(record, until=max(record.until, happened + policy.backoff_s(record.level)))
