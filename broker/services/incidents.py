"""Incidents: many keys rejected together are one trouble with one cause."""

import secrets
from dataclasses import dataclass

from broker.core.facts import IncidentChanged
from broker.core.fold import Change
from broker.core.incident import is_over
from broker.core.replica import Logged
from broker.core.words import Family, Provenance, State
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.usage import Usage


@dataclass(frozen=True, slots=True)
class Incidents:
    """Judges what this replica saw, and logs it as a fact of its own."""

    keyring: Keyring
    health: HealthBook
    usage: Usage

    def on_view(self, provider: str, changes: list[Change], now: float) -> None:
        """Nothing: an incident is judged on what the log confirmed."""

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Open an incident when half of the keys in use turned bad, end it when they healed."""
        if not own:
            return
        for change in changes:
            if change.family is not Family.CREDENTIAL:
                continue
            key_id, provider = change.scope.key_id, change.scope.provider
            before, after = change.states
            if after in {State.RAMPING, State.CLOSED}:
                self._healed(provider, key_id, change.at)
            elif after is State.OPEN and before in {State.CLOSED, State.RAMPING}:
                key = self.keyring.find(key_id)
                if key is not None:
                    use = self.usage.key_use(provider)
                    together = use.note_rejected(key.provenance, key_id, change.at)
                    self._open(provider, key.provenance, together)

    def _healed(self, provider: str, key_id: str, at: float) -> None:
        """A key is no longer rejected; a removed one tells no more whose it was."""
        for owner_class in Provenance:
            self.usage.key_use(provider).note_healed(owner_class, key_id)
            self._close_if_over(provider, owner_class, at)

    def _open(self, provider: str, owner_class: str, key_ids: tuple[str, ...]) -> None:
        current = self.health.of(provider).replica.view.incident(owner_class)
        known = current.key_ids if current else ()
        if set(key_ids) - set(known):
            together = tuple(sorted({*known, *key_ids}))
            joined = current is not None
            self._post(provider, owner_class, together, opened=True, joined=joined)

    def _close_if_over(self, provider: str, owner_class: str, now: float) -> None:
        incident = self.health.of(provider).replica.view.incident(owner_class)
        if incident is None:
            return
        rejected = {
            record.scope.key_id
            for record in self.health.circuits(provider)
            if record.family is Family.CREDENTIAL
            and record.standing(now).state in {State.OPEN, State.HALF_OPEN}
        }
        if is_over(incident.key_ids, rejected):
            self._post(provider, owner_class, incident.key_ids, opened=False)

    def _post(
        self,
        provider: str,
        owner_class: str,
        key_ids: tuple[str, ...],
        *,
        opened: bool,
        joined: bool = False,
    ) -> None:
        fact = IncidentChanged(
            fact_id=f"incident/{secrets.token_hex(8)}",
            provider=provider,
            replica=self.health.replica,
            owner_class=owner_class,
            key_ids=key_ids,
            opened=opened,
            joined=joined,
        )
        self.health.post([fact])
