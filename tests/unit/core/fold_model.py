"""What a log of facts should amount to, told a second time: plain, slow and without the table.

It reads the whole log anew each time, keeps no layers and sweeps nothing; whoever folds facts must
come to the same circuits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.core.circuit import jitter_s
from broker.core.facts import (
    CallFailed,
    CircuitCleared,
    Fact,
    ProbeEnded,
    RevisionRetired,
    TrialEnded,
)
from broker.core.replica import Logged
from broker.core.scope import Scope, key_model_scope, key_scope
from broker.core.words import Evidence, Family, Kind, ProbeResult, State

RAMP_S = {Family.LIMIT: 1.5}
BACKOFF = {
    Kind.RATE_LIMITED: (5.0, 2.0, 900.0, 3600.0),
    Kind.QUOTA_EXHAUSTED: (900.0, 2.0, 3600.0, 32 * 86400.0),
    Kind.INVALID_CREDENTIAL: (15.0, 2.0, 21600.0, 0.0),
    Kind.PERMISSION_DENIED: (600.0, 2.0, 21600.0, 0.0),
    Kind.MODEL_NOT_FOUND: (3600.0, 4.0, 43200.0, 0.0),
    Kind.OVERLOADED: (15.0, 2.0, 300.0, 300.0),
    Kind.SERVER_ERROR: (15.0, 2.0, 300.0, 300.0),
    Kind.UNREACHABLE: (15.0, 2.0, 300.0, 300.0),
}
"""base, factor, cap, longest believed hint; in seconds."""

Name = tuple[Scope, Family]


@dataclass(slots=True)
class Told:
    """One circuit as the story so far has it."""

    family: Family
    kind: Kind
    level: int
    opened: float
    until: float
    hint: float = 0.0
    ramp_from: float | None = None
    asks_probe_since: float | None = None
    model: str = ""
    inconclusive: int = 0

    def state(self, at: float) -> tuple[State, float]:
        """The state and when it began."""
        ramp_from = self.ramp_from
        if ramp_from is None and at < self.until:
            return State.OPEN, self.opened
        if ramp_from is None and self.family is not Family.LIMIT:
            return State.HALF_OPEN, self.until
        ramp_from = self.until if ramp_from is None else ramp_from
        closes = ramp_from + RAMP_S.get(self.family, 12.0)
        return (State.RAMPING, ramp_from) if at < closes else (State.CLOSED, closes)

    def fence(self, at: float) -> float:
        """What began before this is late; once healed, what began before the ramp."""
        state, began = self.state(at)
        if state is not State.CLOSED:
            return began
        return self.until if self.ramp_from is None else self.ramp_from

    def level_at(self, at: float) -> int:
        state, began = self.state(at)
        healthy_s = at - began if state is State.CLOSED else 0.0
        return max(0, self.level - int(healthy_s // 600.0))

    def is_forgotten(self, at: float) -> bool:
        if self.state(at)[0] is State.CLOSED and self.level_at(at) == 0:
            return True
        return self.family is not Family.CREDENTIAL and at >= self.until + 86400.0

    def reopen(self, at: float) -> None:
        self.until = min(self.until, at)
        self.ramp_from = at
        self.hint, self.asks_probe_since, self.inconclusive = 0.0, None, 0


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure as the story tells it, from a call or from a probe."""

    fact_id: str
    kind: Kind
    backoff_kind: Kind
    hint: float
    began: float
    happened: float
    at: float
    is_trial: bool
    asks_probe: bool
    model: str
    by_probe: bool = False


class FoldModel:
    """The circuits that a log amounts to."""

    def __init__(self, log: Iterable[Logged]) -> None:
        self.circuits: dict[Name, Told] = {}
        seen: dict[str, float] = {}
        for entry in log:
            if entry.at - seen.get(entry.fact.fact_id, float("-inf")) <= 900.0:
                continue
            seen[entry.fact.fact_id] = entry.at
            happened = entry.at - max(entry.age_s, 0.0)
            self._fold(entry.fact, entry.at, happened, happened - max(entry.fact.lead_s, 0.0))

    def remembered(self, at: float) -> dict[Name, Told]:
        """The circuits that are not forgotten at `at`."""
        return {name: told for name, told in self.circuits.items() if not told.is_forgotten(at)}

    def _fold(self, fact: Fact, at: float, happened: float, began: float) -> None:
        for name in [name for name, told in self.circuits.items() if told.is_forgotten(at)]:
            del self.circuits[name]
        if isinstance(fact, CallFailed):
            self._call_failed(fact, at, happened, began)
        elif isinstance(fact, TrialEnded):
            self._trial_ended(fact, at, happened, began)
        elif isinstance(fact, ProbeEnded):
            self._probe_ended(fact, at, happened, began)
        elif isinstance(fact, CircuitCleared):
            self._forget(lambda s, f: s == fact.scope and fact.family in {None, f})
        elif isinstance(fact, RevisionRetired):
            self._forget(lambda s, _: (s.key_id, s.revision) == (fact.key_id, fact.revision))

    def _forget(self, matches: Callable[[Scope, Family], bool]) -> None:
        for name in [name for name in self.circuits if matches(*name)]:
            del self.circuits[name]

    def _call_failed(self, fact: CallFailed, at: float, happened: float, began: float) -> None:
        credential = fact.kind is Kind.INVALID_CREDENTIAL
        weak = credential and fact.evidence is Evidence.WEAK
        backoff_kind = Kind.PERMISSION_DENIED if weak else fact.kind
        failed = Failed(
            fact_id=fact.fact_id,
            kind=fact.kind,
            backoff_kind=backoff_kind,
            hint=min(max(fact.hint_s, 0.0), BACKOFF[backoff_kind][3]),
            began=began,
            happened=happened,
            at=at,
            is_trial=fact.is_trial,
            asks_probe=credential and fact.probeable,
            model=fact.model,
        )
        self._fail((fact.scope, fact.family), failed)

    def _fail(self, name: Name, failed: Failed) -> None:
        told = self.circuits.get(name)
        if told is None:
            self._open(name, failed, level=0, at_least=0.0)
            return
        state, _ = told.state(failed.at)
        late = failed.began < told.fence(failed.at)
        if state is State.OPEN:
            self._lengthen(told, failed, late=late)
        elif not late and (state is not State.HALF_OPEN or failed.is_trial):
            self._open(name, failed, level=told.level_at(failed.at), at_least=told.until)

    def _open(self, name: Name, failed: Failed, *, level: int, at_least: float) -> None:
        base, factor, cap, _ = BACKOFF[failed.backoff_kind]
        is_capped = level > 0 and base * factor ** (level - 1) >= cap
        if not failed.hint and not is_capped:
            level += 1
        old = self.circuits.get(name)
        goes_on = old is not None and old.state(failed.at)[0] is not State.CLOSED
        keeps_count = goes_on and not failed.by_probe
        wait = failed.hint or min(base * factor ** (max(level, 1) - 1), cap)
        until = failed.happened + wait + jitter_s(wait, failed.fact_id)
        self.circuits[name] = Told(
            family=name[1],
            kind=failed.kind,
            level=level,
            opened=failed.happened,
            until=max(until, at_least),
            hint=failed.hint,
            asks_probe_since=failed.happened if failed.asks_probe else None,
            model=failed.model,
            inconclusive=old.inconclusive if old and keeps_count else 0,
        )

    def _lengthen(self, told: Told, failed: Failed, *, late: bool) -> None:
        if failed.is_trial and not late:
            told.asks_probe_since = None
        is_longest = failed.hint > told.hint
        if not failed.hint or (late and not is_longest):
            return
        until = failed.happened + failed.hint + jitter_s(failed.hint, failed.fact_id)
        told.until = max(told.until, until)
        if is_longest:
            told.hint, told.kind = failed.hint, failed.kind

    def _trial_ended(self, fact: TrialEnded, at: float, happened: float, began: float) -> None:
        told = self.circuits.get((fact.scope, fact.family))
        if told is None:
            return
        state, _ = told.state(at)
        if fact.passed and state in {State.OPEN, State.HALF_OPEN} and began >= told.opened:
            told.reopen(happened)
        elif not fact.passed and state is State.HALF_OPEN and told.family is Family.CREDENTIAL:
            told.until = max(told.until, happened + min(15.0 * 2 ** (told.level - 1), 21600.0))

    def _probe_ended(self, fact: ProbeEnded, at: float, happened: float, began: float) -> None:
        name = (key_scope(fact.provider, fact.key_id, fact.revision), Family.CREDENTIAL)
        told = self.circuits.get(name)
        if fact.result is ProbeResult.INCONCLUSIVE:
            if told is not None and fact.reached and began >= told.opened:
                told.inconclusive += 1
            return
        answered = {
            weak_name: weak
            for weak_name, weak in self.circuits.items()
            if (weak_name[0].key_id, weak_name[0].revision) == (fact.key_id, fact.revision)
            and weak_name[1] is Family.ACCESS
            and weak.asks_probe_since is not None
            and weak.asks_probe_since <= began
        }
        if fact.result is ProbeResult.REJECTED:
            self._rejected(name, fact, at, happened, began)
            if self.circuits[name].state(at)[0] in {State.OPEN, State.HALF_OPEN}:
                for weak_name in answered:
                    del self.circuits[weak_name]
            return
        for weak in answered.values():
            weak.asks_probe_since, weak.kind = None, Kind.PERMISSION_DENIED
        if told is not None and began >= told.opened:
            self._authenticated(told, fact, at, happened)

    def _rejected(
        self, name: Name, fact: ProbeEnded, at: float, happened: float, began: float
    ) -> None:
        kind = Kind.INVALID_CREDENTIAL
        failed = Failed(
            fact.fact_id, kind, kind, 0.0, began, happened, at, is_trial=True, asks_probe=False,
            model="", by_probe=True,
        )  # fmt: skip
        self._fail(name, failed)

    def _authenticated(self, told: Told, fact: ProbeEnded, at: float, happened: float) -> None:
        level, model = told.level, told.model
        contradicts = told.asks_probe_since is not None and bool(model)
        if told.state(at)[0] in {State.OPEN, State.HALF_OPEN}:
            told.reopen(happened)
        if not contradicts:
            return
        scope = key_model_scope(fact.provider, fact.key_id, fact.revision, model)
        old = self.circuits.get((scope, Family.ACCESS))
        if old is not None and old.state(at)[0] is State.OPEN:
            return
        kind = Kind.PERMISSION_DENIED
        failed = Failed(
            fact.fact_id, kind, kind, 0.0, happened, happened, at, is_trial=False,
            asks_probe=False, model=model,
        )  # fmt: skip
        was, until = (old.level_at(at), old.until) if old else (0, 0.0)
        self._open((scope, Family.ACCESS), failed, level=was, at_least=until)
        denied = self.circuits[scope, Family.ACCESS]
        denied.level = max(denied.level, level)
        base, factor, cap, _ = BACKOFF[kind]
        denied.until = max(denied.until, happened + min(base * factor ** (denied.level - 1), cap))
