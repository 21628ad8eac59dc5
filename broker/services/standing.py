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
from broker.core.revisions import HeldKey, Stage
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
    UNREADABLE = "unreadable"


STATE_OF_FAMILY: Mapping[Family, KeyState] = {
    family: KeyState(policy.pool_state) for family, policy in FAMILIES.items()
}
"""The state of a key that a circuit of this family keeps leases away from."""

DATABASE = "database"
"""The source of tenants' keys."""

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
class RevisionView:
    """A revision and what the broker does with it."""

    revision: str
    stage: Stage
    authenticated_at: float | None


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as operators see it; `circuits` are those over it, or its account, not closed.

    `revisions` are those that can be opened, the newest first. `created_at` and `updated_at` are
    epoch seconds, None for system keys and where the store does not tell.
    """

    key: Key
    state: KeyState
    source: str
    disabled: Mark | None
    circuits: tuple[CircuitView, ...]
    revisions: tuple[RevisionView, ...] = ()
    created_at: float | None = None
    updated_at: float | None = None


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

    def view(self, held: HeldKey) -> KeyView:
        """One key."""
        key = held.key
        source = DATABASE if key.owner else self._keyring.source_of(key.key_id)
        return KeyView(
            key=key,
            state=self.state(key),
            source=source,
            disabled=self._marks.disabled_key(key.key_id),
            circuits=self._shown(key),
            revisions=tuple(
                RevisionView(
                    revision=revision.name,
                    stage=held.stage(revision, self.is_rejected),
                    authenticated_at=revision.authenticated_at,
                )
                for revision in held.revisions
            ),
        )

    def view_unreadable(self, key: Key) -> KeyView:
        """A key that cannot be opened, without its secret."""
        disabled = self._marks.disabled_key(key.key_id)
        return KeyView(key, KeyState.UNREADABLE, DATABASE, disabled, self._shown(key))

    def as_chosen(self, held: HeldKey) -> HeldKey:
        """A tenant's key that is not at hand, as it would be leased."""
        provider = self._keyring.providers.get(held.key.provider)
        if provider is None:
            return held
        return held.choosing(self.is_rejected, self._now, is_probeable=provider.is_probeable)

    def is_rejected(self, key: Key) -> bool:
        """Is this revision of a key quarantined?"""
        return any(
            view.record.family is Family.CREDENTIAL
            for view in self._whole_over(key)
            if view.record.scope.key_id
        )

    def state(self, key: Key) -> KeyState:
        """How a key stands as a whole: trouble with single models does not count."""
        if self._marks.disabled_key(key.key_id):
            return KeyState.DISABLED
        states = (STATE_OF_FAMILY[view.record.family] for view in self._whole_over(key))
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
        if (
            is_off
            or self._keyring.is_stale(key.key_id)
            or judge(whole, self._now).block is not None
        ):
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

    def _shown(self, key: Key) -> tuple[CircuitView, ...]:
        return tuple(sorted(self._circuits_over(key), key=lambda view: view.since, reverse=True))

    def _whole_over(self, key: Key) -> Iterator[CircuitView]:
        """The circuits that keep leases away from the key, whatever the model."""
        for view in self._circuits_over(key):
            if not view.record.scope.model and view.state in _KEEPS_AWAY:
                yield view

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
