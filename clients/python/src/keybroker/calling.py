"""One request over as many keys and models as the broker advises, as a program."""

import logging
import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Generic, TypeVar

from keybroker.ask import Ask
from keybroker.denial import Denial, Target
from keybroker.errors import BrokerError, Denied
from keybroker.grant import Grant
from keybroker.leasing import Terms, acquire, release, taken
from keybroker.record import CallRecord
from keybroker.steps import Farewell, Pause, Steps, Use
from keybroker.v1 import lease_pb2
from keybroker.verdict import Report
from keybroker.words import Provenance, VerdictKind

T = TypeVar("T")

log = logging.getLogger("keybroker")


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a call goes: `wait_s` is for a key where there is none yet, each time."""

    timeout_s: float | None
    max_attempts: int
    wait_s: float
    can_replay: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a request: where, with which key, and what came of it.

    `verdict` is None when the report had no answer; `error` is the class of what was raised.
    """

    target: Target
    key_id: str
    provenance: Provenance
    trial: bool
    verdict: VerdictKind | None
    error: str = ""

    def __str__(self) -> str:
        return f"{self.target} with {self.key_id}: {self.verdict or self.error or 'not judged'}"


@dataclass(frozen=True, slots=True)
class Served(Generic[T]):
    """What a call came to: the last response, and the attempts up to it.

    The response is not in its repr. `denial` says why no further key was tried; None when none was
    needed, or the limits of the call were reached.
    """

    response: T
    attempts: tuple[Attempt, ...]
    denial: Denial | None = None

    @property
    def ok(self) -> bool:
        """Did the provider do what it was asked? False also when the broker did not say."""
        return self.last.verdict is VerdictKind.OK

    @property
    def last(self) -> Attempt:
        """The attempt that the response is of."""
        return self.attempts[-1]

    def __repr__(self) -> str:
        return f"<Served {'; '.join(map(str, self.attempts))}>"


class Calling(Generic[T]):
    """A call under way; `run` is the caller's function."""

    def __init__(self, ask: Ask, limits: Limits, terms: Terms) -> None:
        self._ask = ask
        self._limits = limits
        self._terms = terms
        self._attempts: list[Attempt] = []
        timeout_s = limits.timeout_s
        self._deadline = None if timeout_s is None else terms.clock() + timeout_s

    def steps(self) -> Steps[Served[T]]:
        """The call.

        Raises what the last try raised; before there was one, Denied and BrokerError.
        """
        grant = yield from acquire(self._ask, self._wait_s(), self._in_time())
        while True:
            ask = self._ask.again(grant.attempt)
            record = CallRecord(grant, ask, self._terms, deadline=self._deadline)
            value, error = yield from self._use(record)
            answer = yield from self._report(record, value, error)
            self._note(grant, answer, error)
            found, denial = yield from self._next(grant, answer)
            if found is None:
                return self._served(value, error, denial)
            grant = found

    def _use(self, record: CallRecord) -> Steps[tuple[Any, Exception | None]]:
        """The value of one try, or an exception that tells how the call to the provider went."""
        try:
            return (yield Use(record, self._deadline)), None
        except GeneratorExit:
            raise
        except BaseException as error:
            is_told = record.is_over or record.outcome_of_error(error) is not None
            if isinstance(error, Exception) and is_told:
                return None, error
            yield Farewell(record.leaving(error))
            raise

    def _report(
        self, record: CallRecord, value: object, error: Exception | None
    ) -> Steps[lease_pb2.ReportOutcomeResponse | None]:
        """The answer to the report; None when there is none, or nothing to report."""
        told = record.outcome_of_error(error) if error else record.outcome_of_value(value)
        if record.is_over or told is None:
            yield Farewell(record.leaving(error))
            return None
        has_next = len(self._attempts) + 1 < self._limits.max_attempts and self._has_time(0.0)
        acquire_next = self._ask.next_after(record.grant.target) if has_next else None
        can_replay = told.can_replay or self._limits.can_replay
        outcome = replace(told, interim=False, can_replay=can_replay)
        try:
            return (yield from record.reporting(outcome, acquire_next))
        except BrokerError as fault:  # there is a response: that is what counts
            log.warning("a report was not heard: %s", fault)
            if not record.is_over:
                yield Farewell(record.leaving(None))
            return None
        except GeneratorExit:
            raise
        except BaseException:
            if acquire_next is None:  # else it goes on by itself, see Rpc
                yield Farewell(record.leaving(None))
            raise

    def _next(
        self, grant: Grant, answer: lease_pb2.ReportOutcomeResponse | None
    ) -> Steps[tuple[Grant | None, Denial | None]]:
        """The lease of the next try, or why there is none."""
        if answer is not None and answer.HasField("lease"):
            found = yield from taken(answer.lease)
            return (yield from self._after(found, answer.advice.delay.ToTimedelta())), None
        if answer is None or not answer.HasField("denial"):
            return None, None
        denial = Denial.read(answer.denial)
        pause = denial.worth_waiting
        if pause is None or pause.total_seconds() > self._wait_s():
            return None, denial
        yield Pause(pause.total_seconds())
        ask = self._ask.again(grant.attempt + 1)
        try:
            return (yield from acquire(ask, self._wait_s(), self._in_time())), None
        except Denied as denied:
            return None, denied.denial
        except BrokerError as fault:
            log.warning("no next key: %s", fault)
            return None, denial

    def _after(self, grant: Grant, delay: timedelta) -> Steps[Grant | None]:
        """The lease once the delay is over; given back when the call does not live to see it."""
        if not self._has_time(delay.total_seconds()):
            yield Farewell(release(grant.lease_id))
            return None
        try:
            yield Pause(delay.total_seconds())
        except GeneratorExit:
            raise
        except BaseException:
            yield Farewell(release(grant.lease_id))
            raise
        return grant

    def _note(
        self,
        grant: Grant,
        answer: lease_pb2.ReportOutcomeResponse | None,
        error: Exception | None,
    ) -> None:
        verdict = Report.read(answer).verdict.kind if answer is not None else None
        name = type(error).__name__ if error else ""
        where = (grant.target, grant.key_id, grant.provenance, grant.trial)
        self._attempts.append(Attempt(*where, verdict, name))

    def _served(self, value: T, error: Exception | None, denial: Denial | None) -> Served[T]:
        served = Served(value, tuple(self._attempts), denial)
        if error is None:
            return served
        why = f"; then {denial.reason}: {denial.message}" if denial else ""
        error.add_note(f"keybroker: {served!r}{why}")
        raise error

    def _has_time(self, seconds: float) -> bool:
        return seconds < self._left_s()

    def _wait_s(self) -> float:
        return min(self._limits.wait_s, self._left_s())

    def _in_time(self) -> Terms:
        return self._terms.within(self._left_s())

    def _left_s(self) -> float:
        if self._deadline is None:
            return math.inf
        return max(self._deadline - self._terms.clock(), 0.0)
