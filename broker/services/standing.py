"""How keys and circuits stand at one moment, in the words that operators read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from broker.core.admission import judge, key_scopes
from broker.core.circuit import FOREVER, Circuit
from broker.core.key import Key
from broker.core.policy import FAMILIES
from broker.core.scope import Scope, Upstream, account_scope, key_scope, upstream_scope
from broker.core.words import Family, State
from broker.ports.mark_store import Mark
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks


class KeyState(StrEnum):
    """How a key stands as a whole; where several hold, the one furthest down is shown."""

    HEALTHY = "healthy"
    COOLING_DOWN = "cooling_down"
    RESTRICTED = "restricted"
    EXHAUSTED = "exhausted"
    QUARANTINED = "quarantined"
    DISABLED = "disabled"


STATE_OF_FAMILY: Mapping[Family, KeyState] = {
    family: KeyState(policy.pool_state) for family, policy in FAMILIES.items()
}
"""The state of a key that a circuit of this family keeps leases away from."""

_RANKS = {state: rank for rank, state in enumerate(KeyState)}
_KEEPS_AWAY = frozenset({State.OPEN, State.HALF_OPEN})


@dataclass(frozen=True, slots=True)
class CircuitView:
    """A circuit's record and where it stood at one moment; `until` is None unless time ends it."""

    record: Circuit
    state: State
    level: int
    since: float
    until: float | None

    @classmethod
    def of(cls, record: Circuit, now: float) -> "CircuitView":
        """The view of `record` at `now`."""
        state, began, ends = record.standing(now)
        until = ends if ends < FOREVER else None
        return cls(record, state, record.level_at(now), began, until)


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as operators see it; `circuits` are those over it, or its account, not closed."""

    key: Key
    state: KeyState
    source: str
    disabled: Mark | None
    circuits: tuple[CircuitView, ...]


class Standings:
    """What every circuit and mark says at one moment; `provider` "" means all of them.

    `circuits` are those that are not closed, the latest change first.
    """

    def __init__(
        self, keyring: Keyring, health: HealthBook, marks: Marks, now: float, provider: str = ""
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._now = now
        self.circuits = views_of(health.circuits(provider), now)
        self._over: dict[Scope, list[CircuitView]] = {}
        for view in self.circuits:
            self._over.setdefault(_whole(view.record.scope), []).append(view)

    def view(self, key: Key) -> KeyView:
        """One key."""
        over = sorted(self._circuits_over(key), key=lambda view: view.since, reverse=True)
        source, disabled = self._keyring.source_of(key.key_id), self._marks.disabled_key(key.key_id)
        return KeyView(key, self.state(key), source, disabled, tuple(over))

    def state(self, key: Key) -> KeyState:
        """How a key stands as a whole: trouble with single models does not count."""
        if self._marks.disabled_key(key.key_id):
            return KeyState.DISABLED
        states = (
            STATE_OF_FAMILY[view.record.family]
            for view in self._circuits_over(key)
            if not view.record.scope.model and view.state in _KEEPS_AWAY
        )
        return max(states, key=_RANKS.__getitem__, default=KeyState.HEALTHY)

    def counts(self, keys: Iterable[Key]) -> dict[KeyState, int]:
        """How many of the keys are in which state."""
        return dict(Counter(self.state(key) for key in keys))

    def is_runnable(self, key: Key) -> bool:
        """Could the key be leased for some model, caps and ramps aside?

        A key that is not bound to named models has always one more that nothing speaks against.
        """
        is_off = self._marks.disabled_key(key.key_id) or self._marks.disabled_upstream(
            key.provider, ""
        )
        whole = [v.record for v in self._circuits_over(key) if not v.record.scope.model]
        if is_off or judge(whole, self._now).block is not None:
            return False
        if not key.models or any(sign in name for name in key.models for sign in "*?["):
            return True
        return any(self._admits(key, model) for model in key.models)

    def _admits(self, key: Key, model: str) -> bool:
        if self._marks.disabled_upstream(key.provider, model):
            return False
        upstream = upstream_scope(Upstream(key.provider, key.base_url, model))
        scopes = (*key_scopes(key, model), upstream)
        return self._health.admit(key.provider, scopes, self._now).block is None

    def _circuits_over(self, key: Key) -> Iterator[CircuitView]:
        if not self._over:
            return iter(())
        own = self._over.get(key_scope(key.provider, key.key_id, key.revision), ())
        if not key.account:
            return iter(own)
        account = account_scope(key.provider, key.owner, key.account)
        return chain(own, self._over.get(account, ()))


def views_of(records: Iterable[Circuit], now: float) -> list[CircuitView]:
    """The circuits that are not closed at `now`, the latest change first."""
    views = (CircuitView.of(record, now) for record in records)
    standing = [view for view in views if view.state is not State.CLOSED]
    return sorted(standing, key=lambda view: view.since, reverse=True)


def _whole(scope: Scope) -> Scope:
    """The key or account that a scope is about, over all models."""
    if scope.key_id:
        return key_scope(scope.provider, scope.key_id, scope.revision)
    if scope.account:
        return account_scope(scope.provider, scope.owner, scope.account)
    return scope
