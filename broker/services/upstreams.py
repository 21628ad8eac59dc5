"""Upstream health on this replica: final outcomes of chains, and the retries they cost."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.core.advice import MAX_PROVIDER_FAULTS
from broker.core.chain import Chain, ChainBook, ChainId
from broker.core.facts import CallFailed, UpstreamCounted
from broker.core.fold import Change
from broker.core.health import Counts
from broker.core.replica import Logged
from broker.core.retries import RetryBudget
from broker.core.scope import Scope, Upstream, upstream_principal_scope, upstream_scope
from broker.core.window import UpstreamWindow
from broker.core.words import Evidence, Family, Kind, ScopeKind, State
from broker.services.health import HealthBook

MAX_UPSTREAMS = 4096
"""Windows kept: models come from callers, and a window nobody used lately starts empty anyway."""

PROBE_AGREES_S = 60.0
"""A probe that could not reach the provider agrees with gateways for this long."""

_KEEPS_AWAY = frozenset({State.OPEN, State.HALF_OPEN})
_SUCCEEDED = Counts(succeeded=1)
_FAILED = Counts(failed=1)
_UNREACHABLE = Counts(unreachable=1)


@dataclass(slots=True)
class _Upstream:
    window: UpstreamWindow = field(default_factory=UpstreamWindow)
    retries: RetryBudget = field(default_factory=RetryBudget)


class Upstreams:
    """Windows, chains and retry budgets; a trip is judged on the fleet's sums."""

    def __init__(self, health: HealthBook) -> None:
        self._health = health
        self.chains = ChainBook()
        self._upstreams: OrderedDict[Upstream, _Upstream] = OrderedDict()
        self._unreached: dict[tuple[str, str], float] = {}

    def retries(self, upstream: Upstream) -> RetryBudget:
        """The retry budget of an upstream."""
        return self._of(upstream).retries

    def forbids_retry(self, upstream: Upstream, faults: int, now: float) -> bool:
        """Has the provider failed the request too often, or all requests, to try it again?"""
        if not faults:
            return False
        return faults >= MAX_PROVIDER_FAULTS or not self.retries(upstream).has_left(now)

    def totals(self, upstream: Upstream, now: float) -> dict[str, Counts]:
        """The fleet's counts by principal: own ones and those that others published."""
        window = self._of(upstream).window
        totals = window.totals(now)
        view = self._health.of(upstream.provider).replica.view
        for key, counts in view.published_counts():
            if key.upstream != upstream or key.replica == self._health.replica:
                continue
            if key.second > max(now - 60.0, window.since):
                totals[key.principal] = totals.get(key.principal, Counts()).plus(counts)
        return totals

    def active(self, now: float) -> Iterator[tuple[Upstream, Counts]]:
        """Upstreams with outcomes in their window, and their sums."""
        for upstream in list(self._upstreams):
            total = Counts()
            for counts in self.totals(upstream, now).values():
                total = total.plus(counts)
            if any(total):
                yield upstream, total

    def succeeded(self, upstream: Upstream, chain_id: ChainId, started: float, now: float) -> None:
        """A call succeeded: the chain's faults at this upstream never count."""
        self.taken_back(upstream, chain_id, now)
        self._of(upstream).window.note(chain_id.principal, _SUCCEEDED, started, int(now))
        self.chains.close(chain_id)

    def faulted(
        self,
        upstream: Upstream,
        chain_id: ChainId,
        kind: Kind,
        started: float,
        now: float,
        *,
        report_id: str,
        earlier_faults: int,
        is_final: bool,
    ) -> tuple[int, CallFailed | None]:
        """A provider fault: returns the chain's faults so far and the fact it trips, if any.

        `earlier_faults` are those the lease token carries, also from other replicas. A report that
        is judged anew adds none.
        """
        self.taken_back(upstream, chain_id, now)
        chain = self.chains.open(chain_id, upstream, now)
        if chain.report_id != report_id:
            chain.faults = max(chain.faults, earlier_faults) + 1
            chain.report_id = report_id
        chain.kind = kind
        chain.started = started
        tripped = self._count(chain, chain_id.principal, now) if is_final else None
        return chain.faults, tripped

    def cancelled(
        self,
        upstream: Upstream,
        chain_id: ChainId,
        started: float,
        now: float,
        *,
        earlier_faults: int,
    ) -> CallFailed | None:
        """The caller gave up: faults of the chain are final, also those another replica heard."""
        if earlier_faults and self.chains.find(chain_id, now) is None:
            chain = self.chains.open(chain_id, upstream, now)
            chain.faults = earlier_faults
            chain.started = started
        return self.abandoned(chain_id, now)

    def abandoned(
        self, chain_id: ChainId, now: float, *, at_other_than: Upstream | None = None
    ) -> CallFailed | None:
        """The request ended, or went on at another upstream: its uncounted fault is final."""
        chain = self.chains.find(chain_id, now)
        if chain is None or chain.counted != Counts() or not chain.faults:
            return None
        if chain.upstream == at_other_than:
            return None
        return self._count(chain, chain_id.principal, now)

    def taken_back(self, upstream: Upstream, chain_id: ChainId, now: float) -> None:
        """The request goes on at this upstream: what was counted of it was not final."""
        chain = self.chains.find(chain_id, now)
        if chain is None or chain.upstream != upstream or chain.counted == Counts():
            return
        window = self._of(upstream).window
        window.take_back(chain_id.principal, chain.counted, chain.counted_second)
        chain.counted = Counts()

    def note_probe(self, provider: str, endpoint: str, now: float, *, reached: bool) -> None:
        """Remember whether the broker itself reaches the provider at an endpoint ("": its own)."""
        if reached:
            self._unreached.pop((provider, endpoint), None)
        else:
            self._unreached[provider, endpoint] = now

    def publish(self, now: float) -> list[UpstreamCounted]:
        """The counts that other replicas need: of windows that hold a fault."""
        facts = []
        for upstream, state in self._upstreams.items():
            is_known = self._health.is_known_model(upstream.provider, upstream.model)
            if not is_known or not state.window.holds_fault(now):
                state.window.forget_unpublished(now)
                continue
            for second, principal, counts in state.window.publish(now):
                facts.append(self._published(upstream, second, principal, counts, now))
        return facts

    def on_view(self, _provider: str, changes: list[Change], _now: float) -> None:
        """A window starts empty at each reopening of its circuit."""
        for change in changes:
            before, after = change.states
            is_reopened = before in _KEEPS_AWAY and after in {State.RAMPING, State.CLOSED}
            if change.family is not Family.HEALTH or not is_reopened:
                continue
            reopened_at = change.after.reopened_at if change.after else None
            self._restart(change.scope, reopened_at or change.at)

    def on_confirmed(self, logged: Logged, changes: list[Change], *, own: bool) -> None:
        """Nothing: windows read the view."""

    def _restart(self, scope: Scope, since: float) -> None:
        window = self._of(Upstream(scope.provider, scope.endpoint, scope.model)).window
        if scope.principal:
            window.restart_of(scope.principal, since)
        else:
            window.restart(since)

    def _count(self, chain: Chain, principal: str, now: float) -> CallFailed | None:
        window = self._of(chain.upstream).window
        counts = _UNREACHABLE if chain.kind is Kind.UNREACHABLE else _FAILED
        if not window.note(principal, counts, chain.started, int(now)):
            return None
        chain.counted = counts
        chain.counted_second = int(now)
        totals = self.totals(chain.upstream, now)
        endpoint = chain.upstream.provider, chain.upstream.endpoint
        since_unreached = now - self._unreached.get(endpoint, float("-inf"))
        agrees = since_unreached <= PROBE_AGREES_S
        tripped = window.judge(principal, chain.counted, totals, probe_agrees=agrees)
        return self._trip(chain, principal, tripped, now) if tripped else None

    def _trip(self, chain: Chain, principal: str, scope_kind: ScopeKind, now: float) -> CallFailed:
        scope = upstream_scope(chain.upstream)
        if scope_kind is ScopeKind.UPSTREAM_PRINCIPAL:
            scope = upstream_principal_scope(chain.upstream, principal)
        return CallFailed(
            fact_id=f"trip/{self._health.replica}/{now!r}/{scope!r}",
            provider=scope.provider,
            replica=self._health.replica,
            lead_s=max(now - chain.started, 0.0),
            scope=scope,
            family=Family.HEALTH,
            kind=chain.kind,
            evidence=Evidence.CERTAIN,
            rule="window",
            reported_by=principal,
            model=scope.model,
        )

    def _published(
        self, upstream: Upstream, second: int, principal: str, counts: Counts, now: float
    ) -> UpstreamCounted:
        return UpstreamCounted(
            fact_id=f"counts/{self._health.replica}/{now!r}/{second}/{principal}/{upstream!r}",
            provider=upstream.provider,
            replica=self._health.replica,
            upstream=upstream,
            principal=principal,
            second=second,
            succeeded=counts.succeeded,
            failed=counts.failed,
            unreachable=counts.unreachable,
        )

    def _of(self, upstream: Upstream) -> _Upstream:
        state = self._upstreams.get(upstream)
        if state is not None:
            self._upstreams.move_to_end(upstream)
            return state
        state = self._upstreams[upstream] = _Upstream()
        if len(self._upstreams) > MAX_UPSTREAMS:
            self._upstreams.popitem(last=False)
        return state
