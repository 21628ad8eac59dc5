"""Health is a fold: one fact at a time onto the state, the same on every replica."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from broker.core import circuit as machine
from broker.core.circuit import TRANSITIONS, Action, Circuit, Event, Failure
from broker.core.facts import (
    CallFailed,
    CircuitCleared,
    Fact,
    IncidentChanged,
    MarkAnnounced,
    ProbeEnded,
    RevisionAdopted,
    RevisionRetired,
    TrialEnded,
    UpstreamCounted,
)
from broker.core.health import CountKey, Counts, Health, Incident
from broker.core.policy import POLICIES
from broker.core.scope import Scope, key_model_scope, key_scope
from broker.core.words import Evidence, Family, Kind, ProbeResult, State

_CREDENTIAL = POLICIES[Kind.INVALID_CREDENTIAL]
_DENIED = POLICIES[Kind.PERMISSION_DENIED]


@dataclass(frozen=True, slots=True)
class Change:
    """A record that a fact moved: None stands for no record, that is closed."""

    scope: Scope
    family: Family
    before: Circuit | None
    after: Circuit | None
    at: float
    cause: str

    @property
    def states(self) -> tuple[State, State]:
        """The states before and after, both at the fact's log time."""
        return (
            self.before.standing(self.at).state if self.before else State.CLOSED,
            self.after.standing(self.at).state if self.after else State.CLOSED,
        )


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a fact was logged, happened, and its call or probe began: log time, in seconds."""

    at: float
    happened: float
    began: float


def fold(state: Health, fact: Fact, at: float, age_s: float) -> list[Change]:
    """Fold one fact, logged `at` with `age_s`, into `state`; a fact seen before changes nothing."""
    if state.has_seen(fact.fact_id, at):
        return []
    state.note_seen(fact.fact_id, at)
    happened = at - max(age_s, 0.0)
    stamp = Stamp(at, happened, happened - max(fact.lead_s, 0.0))
    changes: list[Change] = _FOLDS[type(fact)](state, fact, stamp)
    return [change for change in changes if change.before != change.after]


def _step(
    state: Health, scope: Scope, family: Family, event: Event, failure: Failure, stamp: Stamp
) -> Change:
    """Move one circuit by the transition table."""
    before = state.circuit(scope, family, stamp.at)
    standing = before.standing(stamp.at).state if before else State.CLOSED
    after = _acted(TRANSITIONS[standing, event], before, scope, event, failure, stamp)
    if after is None:
        state.drop(scope, family)
    elif after is not before:
        state.put(after)
    return Change(scope, family, before, after, stamp.at, failure.kind)


def _acted(
    action: Action,
    before: Circuit | None,
    scope: Scope,
    event: Event,
    failure: Failure,
    stamp: Stamp,
) -> Circuit | None:
    if action is Action.TRIP:
        return machine.trip(before, scope, failure, stamp.at, stamp.happened)
    if before is None or action is Action.DROP:
        return None
    if action is Action.LENGTHEN:
        late = event is Event.FAILED_LATE
        return machine.lengthen(before, failure, stamp.happened, late=late)
    if action is Action.REOPEN:
        return machine.reopen(before, stamp.happened)
    if action is Action.RESTEP:
        return machine.restep(before, failure.policy, stamp.happened)
    return before


def _fenced(before: Circuit | None, stamp: Stamp, fresh: Event, late: Event) -> Event:
    """`late` when the call began before the circuit's current state did."""
    if before is not None and stamp.began < before.fence(stamp.at):
        return late
    return fresh


def _call_failed(state: Health, fact: CallFailed, stamp: Stamp) -> list[Change]:
    before = state.circuit(fact.scope, fact.family, stamp.at)
    weak_credential = fact.kind is Kind.INVALID_CREDENTIAL and fact.evidence is Evidence.WEAK
    policy = _DENIED if weak_credential else POLICIES[fact.kind]
    event = _fenced(before, stamp, Event.FAILED, Event.FAILED_LATE)
    if fact.is_trial and event is Event.FAILED:
        event = Event.TRIAL_FAILED
    failure = Failure(
        kind=fact.kind,
        policy=replace(policy, family=fact.family),
        fact_id=fact.fact_id,
        hint_s=min(max(fact.hint_s, 0.0), policy.hint_cap_s),
        rule=fact.rule,
        reported_by=fact.reported_by,
        model=fact.model,
        confirmed=event is Event.TRIAL_FAILED,
        awaits_probe=fact.kind is Kind.INVALID_CREDENTIAL and fact.probeable,
        probeable=fact.probeable,
    )
    return [_step(state, fact.scope, fact.family, event, failure, stamp)]


def _trial_ended(state: Health, fact: TrialEnded, stamp: Stamp) -> list[Change]:
    before = state.circuit(fact.scope, fact.family, stamp.at)
    event = Event.RETURNED
    if fact.passed:
        late = before is not None and stamp.began < before.opened_at
        event = Event.PASSED_LATE if late else Event.PASSED
    policy = POLICIES[before.kind] if before else _CREDENTIAL
    ended = Failure(Kind.OK if fact.passed else Kind.UNKNOWN, policy, fact.fact_id)
    return [_step(state, fact.scope, fact.family, event, ended, stamp)]


def _probe_ended(state: Health, fact: ProbeEnded, stamp: Stamp) -> list[Change]:
    if fact.result is ProbeResult.REJECTED:
        return _probe_rejected(state, fact, stamp)
    if fact.result is ProbeResult.AUTHENTICATED:
        return _probe_authenticated(state, fact, stamp)
    scope = key_scope(fact.provider, fact.key_id, fact.revision)
    before = state.circuit(scope, Family.CREDENTIAL, stamp.at)
    if before is None or not fact.reached or stamp.began < before.opened_at:
        return []
    after = replace(before, inconclusive=before.inconclusive + 1)
    state.put(after)
    return [Change(scope, Family.CREDENTIAL, before, after, stamp.at, "probe")]


def _probe_rejected(state: Health, fact: ProbeEnded, stamp: Stamp) -> list[Change]:
    """Quarantine the key, or keep it so; weak evidence on its models is answered by that."""
    scope = key_scope(fact.provider, fact.key_id, fact.revision)
    before = state.circuit(scope, Family.CREDENTIAL, stamp.at)
    event = _fenced(before, stamp, Event.TRIAL_FAILED, Event.FAILED_LATE)
    failure = Failure(
        kind=Kind.INVALID_CREDENTIAL,
        policy=_CREDENTIAL,
        fact_id=fact.fact_id,
        rule="probe",
        confirmed=event is Event.TRIAL_FAILED,
        probeable=True,
        by_probe=True,
    )
    quarantined = _step(state, scope, Family.CREDENTIAL, event, failure, stamp)
    if quarantined.states[1] in {State.RAMPING, State.CLOSED}:
        return [quarantined]  # fenced: what did not widen to the key still stands on its models
    return [quarantined, *_answered(state, fact, stamp)]


def _probe_authenticated(state: Health, fact: ProbeEnded, stamp: Stamp) -> list[Change]:
    """Heal the credential; evidence that a probe contradicts becomes a denial on its model."""
    scope = key_scope(fact.provider, fact.key_id, fact.revision)
    changes = _answered(state, fact, stamp)
    before = state.circuit(scope, Family.CREDENTIAL, stamp.at)
    if before is None:
        return changes
    late = stamp.began < before.opened_at
    contradicted = not late and before.evidence_at is not None and bool(before.model)
    event = Event.PASSED_LATE if late else Event.PASSED
    passed = Failure(Kind.OK, _CREDENTIAL, fact.fact_id)
    changes.append(_step(state, scope, Family.CREDENTIAL, event, passed, stamp))
    if contradicted:
        changes.append(_denied_instead(state, before, fact, stamp))
    return changes


def _denied_instead(state: Health, record: Circuit, fact: ProbeEnded, stamp: Stamp) -> Change:
    """Open (key, model) in family access, as a report said and a probe narrowed; level kept."""
    scope = key_model_scope(fact.provider, fact.key_id, fact.revision, record.model)
    before = state.circuit(scope, Family.ACCESS, stamp.at)
    if before is not None and before.standing(stamp.at).state is State.OPEN:
        return Change(scope, Family.ACCESS, before, before, stamp.at, "contradicted")
    denial = Failure(
        kind=Kind.PERMISSION_DENIED,
        policy=_DENIED,
        fact_id=fact.fact_id,
        rule=record.rule,
        reported_by=record.reported_by,
        model=record.model,
    )
    opened = machine.trip(before, scope, denial, stamp.at, stamp.happened)
    level = max(opened.level, record.level)
    until = max(opened.until, stamp.happened + _DENIED.backoff_s(level))
    after = replace(opened, level=level, until=until)
    state.put(after)
    return Change(scope, Family.ACCESS, before, after, stamp.at, "contradicted")


def answer_evidence(state: Health, fact: ProbeEnded, at: float) -> list[Change]:
    """Answer the weak evidence in a state that the log does not reach: strangers' circuits."""
    if fact.result is ProbeResult.INCONCLUSIVE:
        return []
    return _answered(state, fact, Stamp(at, at, at - max(fact.lead_s, 0.0)))


def _answered(state: Health, fact: ProbeEnded, stamp: Stamp) -> list[Change]:
    """Weak evidence that came before a conclusive probe: widened away, or kept as a denial."""
    changes = []
    for scope in sorted(state.model_scopes(fact.key_id, fact.revision)):
        weak = state.circuit(scope, Family.ACCESS, stamp.at)
        if weak is None or weak.evidence_at is None or weak.evidence_at > stamp.began:
            continue
        if fact.result is ProbeResult.REJECTED:
            state.drop(scope, Family.ACCESS)
            changes.append(Change(scope, Family.ACCESS, weak, None, stamp.at, "widened"))
        else:
            denied = replace(weak, evidence_at=None, kind=Kind.PERMISSION_DENIED)
            state.put(denied)
            changes.append(Change(scope, Family.ACCESS, weak, denied, stamp.at, "contradicted"))
    return changes


def _cleared(state: Health, fact: CircuitCleared, stamp: Stamp) -> list[Change]:
    families = [fact.family] if fact.family else sorted(state.families(fact.scope))
    operator = Failure(Kind.UNKNOWN, _CREDENTIAL, fact.fact_id)
    return [_step(state, fact.scope, family, Event.CLEARED, operator, stamp) for family in families]


def _retired(state: Health, fact: RevisionRetired, stamp: Stamp) -> list[Change]:
    scopes = [
        key_scope(fact.provider, fact.key_id, fact.revision),
        *sorted(state.model_scopes(fact.key_id, fact.revision)),
    ]
    gone = Failure(Kind.UNKNOWN, _CREDENTIAL, fact.fact_id)
    return [
        _step(state, scope, family, Event.CLEARED, gone, stamp)
        for scope in scopes
        for family in sorted(state.families(scope))
    ]


def _counted(state: Health, fact: UpstreamCounted, _stamp: Stamp) -> list[Change]:
    key = CountKey(fact.upstream, fact.replica, fact.principal, fact.second)
    state.count(key, Counts(fact.succeeded, fact.failed, fact.unreachable))
    return []


def _incident_changed(state: Health, fact: IncidentChanged, stamp: Stamp) -> list[Change]:
    before = state.incident(fact.owner_class)
    since = before.since if before else stamp.happened
    incident = Incident(fact.owner_class, fact.key_ids, since) if fact.opened else None
    state.set_incident(fact.owner_class, incident)
    return []


def _announced(
    _state: Health, _fact: MarkAnnounced | RevisionAdopted, _stamp: Stamp
) -> list[Change]:
    return []  # marks and secrets live in their own stores; the fact only says "read it anew"


_FOLDS: dict[type[Any], Callable[[Health, Any, Stamp], list[Change]]] = {
    CallFailed: _call_failed,
    TrialEnded: _trial_ended,
    ProbeEnded: _probe_ended,
    CircuitCleared: _cleared,
    RevisionRetired: _retired,
    UpstreamCounted: _counted,
    IncidentChanged: _incident_changed,
    MarkAnnounced: _announced,
    RevisionAdopted: _announced,
}
