"""News for holders of leases: which keys and upstreams died, and which came back."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from broker.core.circuit import Circuit
from broker.core.fold import Change
from broker.core.replica import Logged
from broker.core.scope import Scope
from broker.core.words import Family, ScopeKind, State
from broker.ports.clock import Clock
from broker.ports.mark_store import Mark, MarkKind
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.marks import Marks
from broker.services.usage import Usage

MAX_BACKLOG = 1000
"""News kept for a slow reader: beyond, it is told to start anew."""


class DeathCause(StrEnum):
    """Why leases must no longer be used."""

    COOLING_DOWN = "COOLING_DOWN"
    EXHAUSTED = "EXHAUSTED"
    QUARANTINED = "QUARANTINED"
    RESTRICTED = "RESTRICTED"
    DISABLED = "DISABLED"
    REMOVED = "REMOVED"
    REVOKED = "REVOKED"
    UPSTREAM_OPEN = "UPSTREAM_OPEN"
    UPSTREAM_DISABLED = "UPSTREAM_DISABLED"


_CAUSES = {
    Family.LIMIT: DeathCause.COOLING_DOWN,
    Family.QUOTA: DeathCause.EXHAUSTED,
    Family.CREDENTIAL: DeathCause.QUARANTINED,
    Family.ACCESS: DeathCause.RESTRICTED,
    Family.HEALTH: DeathCause.UPSTREAM_OPEN,
}


@dataclass(frozen=True, slots=True)
class Synced:
    """A new beginning: forget earlier deaths, those that stand follow."""

    at: float


@dataclass(frozen=True, slots=True)
class Death:
    """Leases that match every field that is set are dead; `until` and `before` in epoch seconds."""

    cause: DeathCause
    provider: str = ""
    key_id: str = ""
    revision: str = ""
    model: str = ""
    tenant: str = ""
    until: float | None = None
    granted_before: float | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """A death that is over."""

    cause: DeathCause
    provider: str
    key_id: str = ""
    revision: str = ""
    model: str = ""


News: TypeAlias = Synced | Death | Recovery


class _Watcher:
    """One stream's backlog."""

    def __init__(self, principal: str) -> None:
        self.principal = principal
        self.backlog: deque[Death | Recovery] = deque()
        self.is_behind = False
        self.arrived = asyncio.Event()

    def push(self, news: Death | Recovery) -> None:
        if len(self.backlog) >= MAX_BACKLOG:
            self.backlog.clear()
            self.is_behind = True
        if not self.is_behind:
            self.backlog.append(news)
        self.arrived.set()


class Watching:
    """Streams of news, each with what its principal uses."""

    def __init__(
        self, keyring: Keyring, health: HealthBook, marks: Marks, usage: Usage, clock: Clock
    ) -> None:
        self._keyring = keyring
        self._health = health
        self._marks = marks
        self._usage = usage
        self._clock = clock
        self._watchers: set[_Watcher] = set()
        self._timed: dict[tuple[Scope, Family], Circuit] = {}

    async def watch(self, principal: str) -> AsyncGenerator[News, None]:
        """First Synced, then the deaths that stand, then news as they come."""
        watcher = _Watcher(principal)
        self._watchers.add(watcher)
        try:
            for news in self._beginning(principal):
                yield news
            while True:
                await watcher.arrived.wait()
                watcher.arrived.clear()
                if watcher.is_behind:
                    watcher.is_behind = False
                    for news in self._beginning(principal):
                        yield news
                while watcher.backlog:
                    yield watcher.backlog.popleft()
        finally:
            self._watchers.discard(watcher)

    def on_view(self, _provider: str, changes: list[Change], now: float) -> None:
        """Turn changed circuits into news."""
        for change in changes:
            before, after = change.states
            record = change.after
            if record is not None and after is State.OPEN:
                if change.family is Family.LIMIT:
                    self._timed[change.scope, change.family] = record
                known_until = change.before.until if change.before else None
                if before is not State.OPEN or record.until != known_until:
                    self._push(self._deaths(record, now), change.scope.principal)
            elif before in {State.OPEN, State.HALF_OPEN} and after is not State.HALF_OPEN:
                self._push(self._recoveries(change.scope, change.family), change.scope.principal)

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Nothing: holders act on the view."""

    def on_tick(self, now: float) -> None:
        """Tell of circuits that time alone has healed."""
        for name, record in list(self._timed.items()):
            if now < record.until:
                continue
            del self._timed[name]
            current = self._health.circuit(record.scope, record.family, now)
            if current is not None and current.standing(now).state is State.OPEN:
                self._timed[name] = current
            else:
                self._push(self._recoveries(record.scope, record.family), record.scope.principal)

    def on_mark(self, mark: Mark) -> None:
        """Tell of a mark that was set."""
        principal = mark.subject if mark.kind is MarkKind.PRINCIPAL_REVOKED else ""
        self._push([_mark_death(mark, self._keyring)], principal)

    def on_mark_lifted(self, mark: Mark) -> None:
        """Tell that a disabled key or upstream is back; revocations have no end."""
        death = _mark_death(mark, self._keyring)
        if death.cause is not DeathCause.REVOKED:
            self._push([Recovery(death.cause, death.provider, death.key_id, model=death.model)])

    def on_removed(self, provider: str, key_id: str, revision: str) -> None:
        """Tell that a key, or a revision of it, is gone from its source."""
        self._push([Death(DeathCause.REMOVED, provider, key_id, revision)])

    def _beginning(self, principal: str) -> Iterator[News]:
        now = self._clock.now()
        yield Synced(now)
        for record in list(self._health.circuits()):
            if record.scope.principal not in {"", principal}:
                continue
            if record.standing(now).state not in {State.OPEN, State.HALF_OPEN}:
                continue
            for death in self._deaths(record, now):
                if self._concerns(principal, death):
                    yield death
        for mark in self._marks.all():
            death = _mark_death(mark, self._keyring)
            if self._concerns(principal, death, mark):
                yield death

    def _deaths(self, record: Circuit, now: float) -> Iterator[Death]:
        scope = record.scope
        is_timed = now < record.until and record.family is not Family.CREDENTIAL
        until = record.until if is_timed else None
        for key_id, revision in self._keys_under(scope):
            cause = _CAUSES[record.family]
            yield Death(cause, scope.provider, key_id, revision, scope.model, until=until)

    def _recoveries(self, scope: Scope, family: Family) -> Iterator[Recovery]:
        for key_id, revision in self._keys_under(scope):
            yield Recovery(_CAUSES[family], scope.provider, key_id, revision, scope.model)

    def _keys_under(self, scope: Scope) -> Iterator[tuple[str, str]]:
        """(key id, revision) of what a circuit is over, both empty for every key.

        Holders know no accounts and no endpoints: these are told key by key.
        """
        if scope.key_id:
            yield scope.key_id, scope.revision
            return
        keys = list(self._keyring.every(scope.provider))
        if scope.kind in {ScopeKind.ACCOUNT, ScopeKind.ACCOUNT_MODEL}:
            account = (scope.owner, scope.account)
            under = [key for key in keys if (key.owner, key.account) == account]
        else:
            under = [key for key in keys if key.base_url == scope.endpoint]
            if len(under) == len(keys):
                yield "", ""
                return
        for key in under:
            for revision in self._keyring.leased(key.key_id):
                yield key.key_id, revision

    def _push(self, news: Iterable[Death | Recovery], principal: str = "") -> None:
        for item in news:
            for watcher in self._watchers:
                if principal in {"", watcher.principal} and self._concerns(watcher.principal, item):
                    watcher.push(item)

    def _concerns(self, principal: str, news: Death | Recovery, mark: Mark | None = None) -> bool:
        if mark is not None and mark.kind is MarkKind.PRINCIPAL_REVOKED:
            return mark.subject == principal
        now = self._clock.now()
        if not news.provider and not news.key_id:
            tenant = news.tenant if isinstance(news, Death) else ""
            return not tenant or self._usage.does_serve(principal, tenant, now)
        return self._usage.does_use(principal, news.provider, news.key_id, news.model, now)


def _mark_death(mark: Mark, keyring: Keyring) -> Death:
    if mark.kind is MarkKind.UPSTREAM_DISABLED:
        provider, _, model = mark.subject.partition("/")
        return Death(DeathCause.UPSTREAM_DISABLED, provider, model=model)
    if mark.kind is MarkKind.TENANT_REVOKED:
        return Death(DeathCause.REVOKED, tenant=mark.subject, granted_before=mark.at)
    if mark.kind is MarkKind.PRINCIPAL_REVOKED:
        return Death(DeathCause.REVOKED, granted_before=mark.at)
    key = keyring.find(mark.subject)
    provider = key.provider if key else ""
    if mark.kind is MarkKind.KEY_REVOKED:
        return Death(DeathCause.REVOKED, provider, mark.subject, granted_before=mark.at)
    return Death(DeathCause.DISABLED, provider, mark.subject)
