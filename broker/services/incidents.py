"""Incidents: many keys rejected together are one trouble with one cause."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.core.circuit import Circuit
from broker.core.facts import IncidentChanged
from broker.core.fold import Change
from broker.core.health import Incident
from broker.core.incident import IN_USE_S, TOGETHER_S, is_over
from broker.core.key import Key
from broker.core.replica import Logged
from broker.core.words import Family, Provenance, State
from broker.services.elsewhere import is_objection
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.usage import Usage

_REJECTED = frozenset({State.OPEN, State.HALF_OPEN})

MAX_AT_ONCE = 100
"""Rejections that are judged one by one; more are judged once a second, since each look at them,
and each fact about them, is about all."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """Judges what this replica saw, and logs it as a fact of its own; it was up `since` then."""

    keyring: Keyring
    health: HealthBook
    marks: Marks
    usage: Usage
    since: float
    late: set[tuple[str, Provenance]] = field(default_factory=set)

    def on_view(self, provider: str, changes: list[Change], now: float) -> None:
        """Nothing: an incident is judged on what the log confirmed."""

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Open an incident when half of the keys in use turned bad, end it when they healed."""
        if not own or is_objection(logged.fact):
            return
        for change in changes:
            if change.family is not Family.CREDENTIAL:
                continue
            key_id, provider = change.scope.key_id, change.scope.provider
            before, after = change.states
            if after in {State.RAMPING, State.CLOSED}:
                self._healed(provider, key_id, change.at)
            elif before in {State.CLOSED, State.RAMPING}:  # half-open where it was logged late
                key = self.keyring.find(key_id)
                if key is not None and key.revision == change.scope.revision:
                    self._rejected(provider, key.provenance, key_id, change.at)

    def on_tick(self, now: float) -> None:
        """End what is over although nobody was there to see it, and forget who used what."""
        for provider in self.keyring.providers:
            for owner_class in Provenance:
                self._close_if_over(provider, owner_class, now)
                self.usage.key_use(provider).used(owner_class, now)
        for provider, owner_class in sorted(self.late):
            self._judge(provider, owner_class, now)
        self.late.clear()

    def _healed(self, provider: str, key_id: str, at: float) -> None:
        """A key is no longer rejected; a removed one tells no more whose it was."""
        for owner_class in Provenance:
            self.usage.key_use(provider).note_healed(owner_class, key_id)
            self._close_if_over(provider, owner_class, at)

    def _rejected(self, provider: str, owner_class: Provenance, key_id: str, at: float) -> None:
        """Judge a rejection at once, or, where there are many already, at the next tick."""
        use = self.usage.key_use(provider)
        use.note_rejected(owner_class, key_id, at)
        if use.rejections(owner_class) > MAX_AT_ONCE:
            self.late.add((provider, owner_class))
        else:
            self._judge(provider, owner_class, at)

    def _judge(self, provider: str, owner_class: Provenance, at: float) -> None:
        """Judge the rejections of the last minute together, whoever saw them."""
        use = self.usage.key_use(provider)
        for record in self._records(provider, owner_class, at):
            if at - TOGETHER_S <= record.since <= at:
                use.note_rejected(owner_class, record.scope.key_id, record.since)
        used = use.used(owner_class, at)
        beside = self._beside(provider, owner_class, used, at)
        together = use.together(owner_class, at, beside)
        if together:
            self._open(provider, owner_class, together, len({*used, *beside, *together}), at)

    def _beside(
        self, provider: str, owner_class: Provenance, used: set[str], at: float
    ) -> list[str]:
        """All enabled system keys, where nobody used any or this replica is too young to know."""
        if owner_class is Provenance.TENANT or (used and at - self.since >= IN_USE_S):
            return []
        keys = self.keyring.keys(provider)
        return [key.key_id for key in keys if not self.marks.disabled_key(key.key_id)]

    def _open(
        self,
        provider: str,
        owner_class: Provenance,
        key_ids: tuple[str, ...],
        used: int,
        now: float,
    ) -> None:
        current = self._current(provider, owner_class)
        known = current.key_ids if current else ()
        if not set(key_ids) - set(known):
            return
        together = tuple(sorted({*known, *key_ids}))
        fact = IncidentChanged(
            fact_id=f"incident/{secrets.token_hex(8)}",
            provider=provider,
            replica=self.health.replica,
            owner_class=owner_class,
            key_ids=together,
            opened=True,
            joined=current is not None,
            used=max(used, len(together)),
            detail=self._in_common(provider, owner_class, together, now),
        )
        self.health.post([fact])

    def _close_if_over(self, provider: str, owner_class: Provenance, now: float) -> None:
        incident = self._current(provider, owner_class)
        if incident is None:
            return
        rejected = {record.scope.key_id for record, _ in self._quarantines(provider, now)}
        if not is_over(incident.key_ids, rejected):
            return
        fact = IncidentChanged(  # whichever replica sees it first: the log takes an id once
            fact_id=f"incident/{provider}/{owner_class}/{incident.since!r}/over",
            provider=provider,
            replica=self.health.replica,
            owner_class=owner_class,
            key_ids=incident.key_ids,
            opened=False,
            lasted_s=max(now - incident.since, 0.0),
        )
        self.health.post([fact])

    def _current(self, provider: str, owner_class: Provenance) -> Incident | None:
        return self.health.of(provider).replica.view.incident(owner_class)

    def _quarantines(self, provider: str, now: float) -> Iterator[tuple[Circuit, Key | None]]:
        """Rejected revisions that are in use, or (None) of keys that are gone.

        A revision that waits, or whose place another has taken, is nobody's trouble.
        """
        for record in list(self.health.circuits(provider)):
            if record.family is Family.CREDENTIAL and record.standing(now).state in _REJECTED:
                key = self.keyring.find(record.scope.key_id)
                if key is None or key.revision == record.scope.revision:
                    yield record, key

    def _records(self, provider: str, owner_class: Provenance, now: float) -> Iterator[Circuit]:
        """The quarantines of an owner class."""
        for record, key in self._quarantines(provider, now):
            if key is not None and key.provenance is owner_class:
                yield record

    def _in_common(
        self, provider: str, owner_class: Provenance, key_ids: tuple[str, ...], now: float
    ) -> str:
        """What the rejections share: that is where to look for their cause."""
        found, named = self._records(provider, owner_class, now), set(key_ids)
        records = [record for record in found if record.scope.key_id in named]
        keys = [key for key_id in key_ids if (key := self.keyring.find(key_id)) is not None]
        told = []
        accounts = {key.account for key in keys}
        if len(keys) > 1 and len(accounts) == 1 and "" not in accounts:
            told.append(f"all of account {accounts.pop()}")
        rules = {record.rule for record in records if record.rule not in {"", "probe"}}
        if len(rules) == 1:
            told.append(f"all by {rules.pop()}")
        confirmed = sum(record.confirmed for record in records)
        told.append(f"{confirmed} confirmed by probes")
        reporters = {record.reported_by for record in records if record.reported_by}
        if not confirmed and len(reporters) == 1:
            told.append(f"only {reporters.pop()} reported it")
        return ", ".join(told)
