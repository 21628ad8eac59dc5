"""The health of every provider on this replica: facts go in, decisions and news come out."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import structlog

from broker.core.admission import FREE, Admission, admit
from broker.core.circuit import Circuit
from broker.core.facts import (
    CIRCUIT_FACTS,
    CallFailed,
    CircuitCleared,
    Fact,
    ProbeEnded,
    RevisionRetired,
    TrialEnded,
)
from broker.core.fold import Change, answer_evidence, fold
from broker.core.health import Health
from broker.core.replica import Logged
from broker.core.scope import Scope, key_scope
from broker.core.words import Family, ProbeResult, State
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError
from broker.ports.fact_log import FactLog
from broker.services.log_following import LogFollowing
from broker.services.provider_health import ProviderHealth
from broker.services.snapshots import ProviderSnapshots

APPEND_WAIT_S = 0.05
"""How long an answer waits for the log: then it goes out, and the fact stays pending."""

SWEEP_LAG_S = 300.0
"""Healed records are kept this much longer than needed: a fact that was logged before and arrives
after a sweep must find the same state on every replica."""

CUT_OFF_S = 1.0
"""A fact that the log has not confirmed for this long says that the store does not work."""

CLOSE_WAIT_S = 3.0
"""How long the end waits for the log to take what is pending."""

MAX_STRANGERS = 1024
"""Circuits kept per provider for models that nobody configured and that never worked."""


log = structlog.get_logger("keybroker")


class Listener(Protocol):
    """Who wants to hear of health."""

    def on_view(self, provider: str, changes: list[Change], now: float) -> None:
        """What decisions read has changed; must not block or raise."""
        ...

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """The log confirmed a fact; `own` marks the replica that has to count and tell it."""
        ...


class HealthBook:
    """Folds own facts at once and the log's in order, for every provider."""

    def __init__(
        self,
        providers: Iterable[str],
        log: FactLog,
        clock: Clock,
        replica: str,
        is_known_model: Callable[[str, str], bool],
    ) -> None:
        self._providers = {
            name: ProviderHealth(ProviderSnapshots(name, log, clock)) for name in providers
        }
        self._log = log
        self._clock = clock
        self.replica = replica
        self._is_known_model = is_known_model
        self._listeners: list[Listener] = []
        self._followings = [
            LogFollowing(name, health, log, clock, self._deliver, self._tell_view)
            for name, health in self._providers.items()
        ]
        self._appends: dict[str, asyncio.Task[None]] = {}

    async def follow(self) -> None:
        """Begin to follow the log; returns when all that was logged before is folded.

        Raises StoreUnavailableError and StoreUnusableError.
        """
        for following in self._followings:
            await following.begin()

    async def close(self) -> None:
        """Log what waits, stop following, and leave a snapshot of each provider."""
        self.append_pending()
        if self._appends:
            await asyncio.wait(self._appends.values(), timeout=CLOSE_WAIT_S)
        if self.pending_facts:
            log.error("facts_lost", facts=self.pending_facts)
        for following in self._followings:
            following.close()
        known = self._providers.values()
        await asyncio.gather(*(health.snapshots.close(health.replica) for health in known))

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every change from now on."""
        self._listeners.append(listener)

    def is_known_model(self, provider: str, model: str) -> bool:
        """Is the model configured, or did it ever work?"""
        return self._is_known_model(provider, model)

    def of(self, provider: str) -> ProviderHealth:
        """One provider's health."""
        return self._providers[provider]

    def admit(self, provider: str, scopes: tuple[Scope, ...], now: float) -> Admission:
        """What all circuits over `scopes` say."""
        if self.is_calm(provider):
            return FREE
        return admit(self._providers[provider].views, scopes, now)

    def is_calm(self, provider: str) -> bool:
        """Is nothing of the provider in trouble, so that every circuit admits?"""
        health = self._providers[provider]
        return health.replica.view.is_calm() and health.strangers.is_calm()

    def circuits(self, provider: str = "") -> Iterator[Circuit]:
        """The records of one provider, or of all."""
        names = [provider] if provider else list(self._providers)
        for name in names:
            for view in self._providers[name].views:
                yield from view.circuits()

    def circuit(self, scope: Scope, family: Family, now: float) -> Circuit | None:
        """The record of (scope, family), if it is in trouble."""
        for view in self._providers[scope.provider].views:
            record = view.circuit(scope, family, now)
            if record is not None:
                return record
        return None

    @property
    def pending_facts(self) -> int:
        """Facts of this replica that the log has not confirmed."""
        return sum(len(health.replica.pending) for health in self._providers.values())

    def lag_s(self, now: float) -> float:
        """How long the oldest fact of this replica has waited for the log to confirm it."""
        oldest = now
        for health in self._providers.values():  # each grant asks: mostly nothing waits
            if health.replica.view is not health.replica.confirmed:
                oldest = min(oldest, health.replica.pending[0].happened)
        return max(now - oldest, 0.0)

    def is_cut_off(self, now: float) -> bool:
        """Does this replica decide alone, because the log takes nothing?"""
        return self.lag_s(now) >= CUT_OFF_S

    async def submit(self, facts: Iterable[Fact]) -> list[Change]:
        """Post facts and wait, at most APPEND_WAIT_S, until the log has them.

        Everything is folded before the first wait, so that a cancelled caller loses nothing.
        """
        posted = list(facts)
        changes = self.post(posted)
        appends = [self._appends[fact.fact_id] for fact in posted if fact.fact_id in self._appends]
        if appends:
            await asyncio.wait(appends, timeout=APPEND_WAIT_S)
        return changes

    def post(self, facts: Iterable[Fact]) -> list[Change]:
        """Fold what changes a record, now, and begin to log it."""
        return [change for fact in facts for change in self._fold_own(fact)]

    def append_pending(self) -> None:
        """Try again to log what the log has refused, and to follow it where it left us behind."""
        for following in self._followings:
            following.catch_up()
        for health in self._providers.values():
            for pending in health.replica.pending:
                if pending.fact.fact_id not in self._appends:
                    self._start_append(pending.fact, pending.happened)

    def sweep(self, now: float) -> None:
        """Forget what is healed; the shared state only what no late fact can be about."""
        for name, health in self._providers.items():
            gone = health.sweep_strangers(now)
            if health.replica.view is health.replica.confirmed:
                gone += health.replica.confirmed.sweep(now - SWEEP_LAG_S)
            self._tell_view(name, list(_given_up(gone, now)), now)
            live = {(record.scope, record.family) for record in self.circuits(name)}
            health.ramps.sweep(live)

    def _fold_own(self, fact: Fact) -> list[Change]:
        health = self._providers[fact.provider]
        now = self._clock.now()
        if self._is_strange(health, fact):
            return self._fold_stranger(health, fact, now)
        changes: list[Change] = []
        if not isinstance(fact, CIRCUIT_FACTS) or health.replica.would_change(fact, now):
            changes = health.replica.fold_own(fact, now)
            self._start_append(fact, now)
            self._tell_view(fact.provider, changes, now)
        self._tell_strangers(health, fact, now)
        return changes

    def _is_strange(self, health: ProviderHealth, fact: Fact) -> bool:
        """Is the fact about a circuit that this replica keeps to itself?"""
        if not isinstance(fact, CallFailed | TrialEnded | CircuitCleared) or not fact.scope.model:
            return False
        if _is_on_record(health.strangers, fact):
            return True
        if _is_on_record(health.replica.view, fact):
            return False
        return not self._is_known_model(fact.provider, fact.scope.model)

    def _fold_stranger(self, health: ProviderHealth, fact: Fact, now: float) -> list[Change]:
        changes = fold(health.strangers, fact, now, 0.0)
        health.note_strangers(changes)
        forgotten = list(health.forget_strangers(MAX_STRANGERS, now))
        self._tell_view(fact.provider, changes + forgotten, now)
        self._tell_confirmed(Logged(0, now, 0.0, fact), changes, own=True)
        return changes

    def _tell_strangers(self, health: ProviderHealth, fact: Fact, now: float) -> None:
        """Probes and retired revisions concern a key's circuits on strange models too."""
        changes: list[Change] = []
        if isinstance(fact, ProbeEnded) and self._is_answer(fact, now):
            changes = answer_evidence(health.strangers, fact, now)
        elif isinstance(fact, RevisionRetired):
            changes = fold(health.strangers, fact, now, 0.0)
        if changes:  # nobody else knows of these circuits, whoever's fact it was
            self._tell_view(fact.provider, changes, now)
            self._tell_confirmed(Logged(0, now, 0.0, fact), changes, own=True)

    def _is_answer(self, fact: ProbeEnded, now: float) -> bool:
        """A rejection answers evidence on a model only where it widened to the key."""
        if fact.result is not ProbeResult.REJECTED:
            return True
        scope = key_scope(fact.provider, fact.key_id, fact.revision)
        record = self.circuit(scope, Family.CREDENTIAL, now)
        return record is not None and record.standing(now).state in {State.OPEN, State.HALF_OPEN}

    def _start_append(self, fact: Fact, happened: float) -> None:
        task = asyncio.get_running_loop().create_task(self._append(fact, happened))
        self._appends[fact.fact_id] = task
        task.add_done_callback(lambda _: self._appends.pop(fact.fact_id, None))

    async def _append(self, fact: Fact, happened: float) -> None:
        try:
            await self._log.append(fact, max(self._clock.now() - happened, 0.0))
        except StoreUnavailableError:
            return  # it stays pending, and append_pending tries again

    def _deliver(self, logged: Logged) -> None:
        health = self._providers[logged.fact.provider]
        own = health.replica.is_pending(logged.fact)  # not what this name logged in another life
        changes = health.replica.confirm(logged)
        health.snapshots.note(logged, health.replica)
        if not own:
            self._tell_view(logged.fact.provider, changes, logged.at)
            self._tell_strangers(health, logged.fact, logged.at)
        self._tell_confirmed(logged, changes, own=own)

    def _tell_view(self, provider: str, changes: list[Change], now: float) -> None:
        if changes:
            for listener in self._listeners:
                listener.on_view(provider, changes, now)

    def _tell_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        for listener in self._listeners:
            listener.on_confirmed(logged, changes, own=own)


def _is_on_record(state: Health, fact: CallFailed | TrialEnded | CircuitCleared) -> bool:
    """Has the state a record of the circuit (or, for all families, of any) that a fact is about?"""
    families = state.families(fact.scope)
    return fact.family in families if fact.family else bool(families)


def _given_up(gone: Iterable[Circuit], now: float) -> Iterator[Change]:
    """Of the records that a sweep took, those that nothing healed: they are closed all the same."""
    for record in gone:
        if record.standing(now).state is State.HALF_OPEN:
            yield Change(record.scope, record.family, record, None, now, "forgotten")
