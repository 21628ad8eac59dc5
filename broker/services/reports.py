"""Reports and their answers: what a gateway tells, and what it is told."""

from asyncio import Future
from collections import OrderedDict
from dataclasses import dataclass, replace

from broker.core.advice import Advice
from broker.core.denial import Denial, Target
from broker.core.outcome import Outcome
from broker.core.verdict import Verdict
from broker.core.words import Kind, LeaseState
from broker.services.acquisition import DEFAULT_TTL_S, Grant
from broker.services.errors import ContradictionError

REPEAT_S = 15 * 60.0
"""A report with the same outcome id gets the same answer for this long."""

MAX_ANSWERS = 20_000


@dataclass(frozen=True, slots=True)
class NextRequest:
    """What to acquire after a failure; tenant, request and keys tried come from the lease."""

    fallbacks: tuple[Target, ...] = ()
    excluded: tuple[str, ...] = ()
    affinity_key: str = ""
    ttl_s: float = DEFAULT_TTL_S
    concurrency: int = 1
    estimated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """One report, checked for form; `started_ago_s` of the outcome None means unknown."""

    lease_id: str
    outcome: Outcome
    keep_lease: bool = False
    will_retry: bool = False
    can_replay: bool = False
    acquire_next: NextRequest | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a report meant and what to do; `follow_up` answers `acquire_next`."""

    verdict: Verdict
    advice: Advice
    lease_state: LeaseState
    follow_up: Grant | Denial | None = None

    def repeated(self) -> "Answer":
        """The same answer for a repeat: its next lease is not the repeat's to take back."""
        if not isinstance(self.follow_up, Grant):
            return self
        return replace(self, follow_up=replace(self.follow_up, is_repeat=True))


class Answers:
    """Answers given lately or under way, by lease and outcome id; a cancelled one is none."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str], tuple[float, Future[Answer]]] = OrderedDict()
        self._successes: OrderedDict[tuple[str, str], tuple[float, Future[Answer]]] = OrderedDict()

    def find(self, uid: str, outcome_id: str, now: float) -> Future[Answer] | None:
        """The answer an outcome got before, for REPEAT_S."""
        name = (uid, outcome_id)
        found = self._answers.get(name) or self._successes.get(name)
        if found is None or now - found[0] > REPEAT_S:
            return None
        return None if found[1].cancelled() else found[1]

    def forget(self, uid: str, outcome_id: str) -> None:
        """Forget an answer that nobody got."""
        self._answers.pop((uid, outcome_id), None)
        self._successes.pop((uid, outcome_id), None)

    def settle(self, uid: str, outcome_id: str, answer: Answer) -> None:
        """Keep an answer to a success apart: many of them must not push out what matters."""
        kept = self._answers.get((uid, outcome_id))
        if kept is None or answer.verdict.kind is not Kind.OK:
            return
        del self._answers[uid, outcome_id]
        self._successes[uid, outcome_id] = kept
        if len(self._successes) > MAX_ANSWERS:
            self._successes.popitem(last=False)

    def keep(self, uid: str, outcome_id: str, now: float, answer: Future[Answer]) -> None:
        """Remember an answer; the oldest go first."""
        self._answers[uid, outcome_id] = (now, answer)
        if len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)


def check_consistent(report: Report) -> None:
    """Raise ContradictionError for flags that cannot be meant together."""
    if report.acquire_next is not None and report.keep_lease:
        raise ContradictionError("keep_lease", "acquire_next")
    if report.outcome.interim and report.acquire_next is not None:
        raise ContradictionError("outcome.interim", "acquire_next")
    if report.outcome.interim and report.will_retry:
        raise ContradictionError("outcome.interim", "will_retry")
