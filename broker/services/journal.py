"""What changes health is told once, by the replica it is from: event, log line and count."""

import secrets
from dataclasses import dataclass

import structlog

from broker.core.denial import Denial, Target
from broker.core.facts import (
    CallFailed,
    CircuitCleared,
    Fact,
    IncidentChanged,
    MarkAnnounced,
    ProbeEnded,
    RevisionRetired,
    TrialEnded,
)
from broker.core.fold import Change
from broker.core.lease_token import LeaseClaims
from broker.core.outcome import Outcome
from broker.core.policy import FAMILIES
from broker.core.replica import Logged
from broker.core.verdict import Verdict
from broker.core.verdicts.clues import clues
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Kind, State
from broker.ports.event_history import Event, EventHistory
from broker.ports.meter import Meter
from broker.services.elsewhere import is_objection
from broker.services.spans import in_words
from broker.services.tally import Tally

log = structlog.get_logger("keybroker")

MAX_NAMED = 50
"""Keys that one event names; it counts the others."""

GRANTS_PER_LINE = 1024
"""Grants are sampled in the log: who got what is for an audit, not for a log."""

HEALED_BY = {TrialEnded: "trial", ProbeEnded: "probe", CircuitCleared: "operator"}


@dataclass(frozen=True, slots=True)
class Journal:
    """Tells people what happened."""

    history: EventHistory
    meter: Meter
    tally: Tally
    replica: str = ""
    """Who tells, where several brokers share one history."""

    def granted(self, lease: LeaseClaims) -> None:
        """Log one grant in GRANTS_PER_LINE; every trial."""
        if lease.is_trial or int(lease.uid, 16) % GRANTS_PER_LINE == 0:
            log.info("lease_granted", **_whose(lease), is_trial=lease.is_trial)

    def denied(self, principal: str, tenant: str, target: Target, denial: Denial) -> None:
        """Log and count a denial."""
        self.tally.denied(denial.reason)
        log.info(
            "lease_denied",
            provider=target.provider,
            model=target.model,
            principal=principal,
            tenant=tenant,
            reason=denial.reason,
            action=denial.action,
        )

    def judged(self, lease: LeaseClaims, verdict: Verdict, changes: list[Change]) -> None:
        """Log a non-OK verdict with whose key it was and what it did."""
        if verdict.kind is Kind.OK:
            return
        if verdict.kind is Kind.UNKNOWN:
            self.tally.did_not_understand(lease.upstream.provider)
        log.info(
            "outcome_judged",
            **_whose(lease),
            verdict=verdict.kind,
            evidence=verdict.evidence,
            rule=verdict.rule,
            action=_action(changes),
        )

    def unrecognised(self, lease: LeaseClaims, dialect: Dialect, outcome: Outcome) -> None:
        """Log what somebody needs who writes a rule for an answer that none matched."""
        log.warning(
            "outcome_unrecognised",
            provider=lease.upstream.provider,
            model=lease.upstream.model,
            dialect=dialect.name,
            http_status=outcome.http_status,
            transport_error=outcome.transport_error,
            **clues(dialect, outcome),
        )

    def on_view(self, provider: str, changes: list[Change], now: float) -> None:
        """Nothing: people are told what the log confirmed."""

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Tell of this replica's facts; those of others are told by others."""
        if not own or is_objection(logged.fact):  # that was told before
            return
        for change in changes:
            self._moved(logged.fact, change)
        if isinstance(logged.fact, IncidentChanged):
            self._incident(logged.fact, logged.at)
        if isinstance(logged.fact, MarkAnnounced):
            self._marked(logged.fact, logged.at)

    def _incident(self, fact: IncidentChanged, at: float) -> None:
        """Tell of an incident: what it began with, who joined it, how long it was."""
        keys = ", ".join(fact.key_ids[:MAX_NAMED])
        attributes = {"keys": ",".join(fact.key_ids[:MAX_NAMED]), "provenance": fact.owner_class}
        if not fact.opened:
            attributes["downtime_s"] = f"{fact.lasted_s:.0f}"
            message = f"over after {in_words(fact.lasted_s)}: {keys}"
            self.record("incident_closed", fact.provider, at, message, attributes=attributes)
            return
        name = "incident_joined" if fact.joined else "incident_opened"
        attributes |= {"cause": "credential", "used": str(fact.used), "detail": fact.detail}
        share = f"{len(fact.key_ids)} of {fact.used} keys in use"
        message = f"rejected together, {share}: {keys} ({fact.detail})"
        self.record(name, fact.provider, at, message, attributes=attributes)

    def _marked(self, fact: MarkAnnounced, at: float) -> None:
        """Tell of an operator's mark; one on a tenant or a principal is about no provider."""
        what, _, name = fact.subject.partition("/")
        is_key, is_upstream = what == "key", what == "upstream"
        done = fact.mark.removeprefix(f"{what}_").replace("_", " ")
        why = f": {fact.reason}" if fact.reason else ""
        self.record(
            fact.mark,
            fact.provider if is_key or is_upstream else "",
            at,
            f"{what} {name.removesuffix('/')}: {done} by {fact.principal}{why}",
            key_id=name if is_key else "",
            model=name.partition("/")[2] if is_upstream else "",
            principal=fact.principal,
            attributes={"subject": fact.subject, "reason": fact.reason},
        )

    def record(
        self,
        kind: str,
        provider: str,
        at: float,
        message: str,
        *,
        key_id: str = "",
        model: str = "",
        principal: str = "",
        attributes: dict[str, str] | None = None,
    ) -> None:
        """Keep an event and log it."""
        by = {"replica": self.replica} if self.replica else {}
        event = Event(
            event_id=secrets.token_hex(8),
            at=at,
            kind=kind,
            provider=provider,
            message=message,
            key_id=key_id,
            model=model,
            principal=principal,
            attributes=(attributes or {}) | by,
        )
        self.history.record(event)
        log.info(kind, provider=provider, key_id=key_id, model=model, detail=message)

    def _moved(self, fact: Fact, change: Change) -> None:
        before, after = change.states
        scope, family = change.scope, change.family
        reason = change.cause
        if before is not after:
            self.meter.transitioned(scope.provider, family, before, after, reason)
        heals = after in {State.RAMPING, State.CLOSED} and before in {State.OPEN, State.HALF_OPEN}
        if heals and reason != "widened" and change.before is not None:
            healed_by = HEALED_BY.get(type(fact), "revision")
            open_s = max(change.at - change.before.since, 0.0)
            self.meter.recovered(family, healed_by, open_s)
        self.record(
            _event_kind(fact, change),
            scope.provider,
            change.at,
            _epitaph(change) if isinstance(fact, RevisionRetired) else _story(change),
            key_id=scope.key_id,
            model=scope.model,
            principal=_who(fact, change),
            attributes=_attributes(change),
        )


def _whose(lease: LeaseClaims) -> dict[str, str]:
    """What each log line about a lease says: which key, whose, for whom."""
    return {
        "provider": lease.upstream.provider,
        "model": lease.upstream.model,
        "key_id": lease.key_id,
        "provenance": lease.provenance,
        "principal": lease.principal,
        "tenant": lease.tenant,
    }


def _event_kind(fact: Fact, change: Change) -> str:
    before, after = change.states
    if change.cause in {"contradicted", "widened"}:
        return f"evidence_{change.cause}"
    if change.after and change.after.confirmed and not (change.before and change.before.confirmed):
        return "quarantine_confirmed" if before is State.OPEN else "circuit_opened"
    if isinstance(fact, RevisionRetired):
        return "revision_retired"
    is_late = after is State.HALF_OPEN and before in {State.CLOSED, State.RAMPING}
    if is_late or (after is State.OPEN and before is not State.OPEN):
        return "circuit_opened"
    if after is State.RAMPING and before is not State.RAMPING:
        return "circuit_reopened"
    if after is State.CLOSED and before is not State.CLOSED:
        return "circuit_cleared"
    return "circuit_updated"


def _story(change: Change) -> str:
    before, after = change.states
    word = FAMILIES[change.family].pool_state.replace("_", " ")
    word += " no longer" * (after in {State.RAMPING, State.CLOSED})
    subject = change.scope.key_id or change.scope.account or change.scope.provider
    model = f" on {change.scope.model}" if change.scope.model else ""
    of = [] if change.cause == Kind.UNKNOWN else [change.cause]
    of += [f"revision {change.scope.revision}"] if change.scope.revision else []
    return f"{subject}{model}: {word}, {before} to {after}" + (f" ({', '.join(of)})" if of else "")


def _epitaph(change: Change) -> str:
    """What a retired revision leaves is no healing: its key may never have been unwell."""
    word = FAMILIES[change.family].pool_state.replace("_", " ")
    scope = change.scope
    word += f" on {scope.model}" * bool(scope.model)
    return f"{scope.key_id}: revision {scope.revision}, which was {word}, is not in use any more"


def _attributes(change: Change) -> dict[str, str]:
    before, after = change.states
    attributes = {
        "scope": change.scope.kind,
        "family": change.family,
        "from": before,
        "to": after,
        "reason": change.cause,
    }
    if change.scope.revision:
        attributes["revision"] = change.scope.revision
    if change.after is not None:
        attributes["level"] = str(change.after.level)
        attributes["until"] = f"{change.after.until:.3f}"
        attributes["rule"] = change.after.rule
    return {name: str(value) for name, value in attributes.items()}


def _who(fact: Fact, change: Change) -> str:
    """Whose doing it was; of contradicted evidence, who reported it."""
    if change.cause == "contradicted" and change.after is not None:
        return change.after.reported_by
    if isinstance(fact, CallFailed | TrialEnded):
        return fact.reported_by
    return fact.principal if isinstance(fact, CircuitCleared) else ""


def _action(changes: list[Change]) -> str:
    return "; ".join(_story(change) for change in changes) or "none"
