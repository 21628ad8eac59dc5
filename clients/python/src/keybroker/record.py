"""What is known of the call that a lease serves, and what is to be said when the lease is left."""

import math
import uuid
from typing import Final

from keybroker.ask import Ask
from keybroker.errors import BrokerError, BrokerUnavailable, CallTimeoutError
from keybroker.grant import Grant
from keybroker.leasing import FAREWELL_S, Terms, release
from keybroker.mishaps import outcome_of_error
from keybroker.outcome import Facts, Outcome
from keybroker.responses import outcome_of
from keybroker.steps import Rpc, Steps
from keybroker.v1 import lease_pb2
from keybroker.verdict import Report
from keybroker.words import Phase, TransportError

_LATE: Final = TransportError.CALLER_DEADLINE
_GONE: Final = TransportError.CALLER_CANCELLED
"""Both are neutral: they say nothing about the provider."""


class CallRecord:
    """One call under a lease; `is_held`: other calls share the lease, so that none ends it."""

    def __init__(
        self,
        grant: Grant,
        ask: Ask,
        terms: Terms,
        *,
        is_held: bool = False,
        deadline: float | None = None,
    ) -> None:
        self.grant = grant
        self.ask = ask
        self.is_over = False
        self._terms = terms
        self._is_held = is_held
        self._deadline = deadline
        self._outcome_id = uuid.uuid4().hex
        self._made = terms.clock()
        self._began: float | None = None
        self._is_sent = False
        self._is_streaming = False
        self._unheard: lease_pb2.ReportOutcomeRequest | None = None

    @property
    def time_left(self) -> float | None:
        """Seconds until the call's deadline; None: there is none."""
        return None if self._deadline is None else max(self._deadline - self._terms.clock(), 0.0)

    def begin(self) -> None:
        """The secret is given out: from now on there may be a call."""
        if self._began is None:
            self._began = self._terms.clock()

    def sent(self) -> None:
        """There is a call."""
        self._began = self._terms.clock()
        self._is_sent = True

    def outcome_of_error(self, error: BaseException) -> Outcome | None:
        """What an exception tells of the call; None when it is not about one.

        Without the secret no call was made, whatever else failed to connect.
        """
        if self._began is None:
            return None
        return outcome_of_error(error, is_streaming=self._is_streaming)

    def outcome_of_value(self, value: object) -> Outcome | None:
        """What a function's value tells of the call: anything but a response is a success."""
        told = value if isinstance(value, Outcome) else outcome_of(value)
        return told or (None if self._began is None else Outcome(status=200))

    def telling(self, response: object, facts: Facts) -> Steps[Report]:
        """Report a response, an exception, an outcome or facts; raises TypeError for others."""
        if isinstance(response, BaseException):
            known = outcome_of_error(response, is_streaming=self._is_streaming)
        else:
            known = response if isinstance(response, Outcome) else outcome_of(response)
        if response is not None and known is None:
            raise TypeError(f"a {type(response).__name__} tells no outcome: report its facts")
        return Report.read((yield from self.reporting(Outcome.of(known, facts))))

    def reporting(
        self, outcome: Outcome, acquire_next: lease_pb2.AcquireNext | None = None
    ) -> Steps[lease_pb2.ReportOutcomeResponse]:
        """Report; what got no answer, unlike what was refused, is said again at the end."""
        began = self._began
        if began is None and self._is_held:  # unset would mean: as old as the lease
            began = self._made
        request = lease_pb2.ReportOutcomeRequest(
            lease_id=self.grant.lease_id,
            outcome=outcome.message(
                uuid.uuid4().hex if outcome.interim else self._outcome_id,
                self.ask.request_id,
                None if began is None else self._terms.clock() - began,
            ),
            keep_lease=self._is_held and not outcome.interim,
            will_retry=outcome.will_retry,
            can_replay=outcome.can_replay,
            acquire_next=acquire_next,
        )
        if outcome.interim:
            self._is_streaming = True
        else:
            self.is_over, self._unheard = True, request
        rpc = Rpc("ReportOutcome", request, self._report_s())
        try:
            answer: lease_pb2.ReportOutcomeResponse = yield rpc
        except BrokerUnavailable:
            raise
        except BrokerError:
            self.is_over, self._unheard = False, None
            raise
        self._unheard = None
        return answer

    def _report_s(self) -> float:
        """How long a report may take: a call that is late still has a moment for it."""
        left = math.inf if self.time_left is None else max(self.time_left, FAREWELL_S)
        return self._terms.within(left).timeout_s

    def leaving(self, error: BaseException | None) -> Steps[None]:
        """Say what is left to say when the caller leaves, by this error or by none."""
        if self._unheard is not None:
            yield from self._repeat(self._unheard)
        elif not self.is_over:
            self.is_over = True
            outcome = self._last_words(error)
            if outcome is not None:
                yield from self.reporting(outcome)
            elif not self._is_held:
                yield from release(self.grant.lease_id)

    def _repeat(self, request: lease_pb2.ReportOutcomeRequest) -> Steps[None]:
        """The same outcome id gets the same answer, also a lease that nobody waits for now."""
        self._unheard = None
        request.ClearField("acquire_next")
        rpc = Rpc("ReportOutcome", request, FAREWELL_S)
        answer: lease_pb2.ReportOutcomeResponse = yield rpc
        if answer.HasField("lease"):
            yield from release(answer.lease.lease_id)

    def _last_words(self, error: BaseException | None) -> Outcome | None:
        """The outcome of a call that nobody reported; None when there was none."""
        if error is None:
            return Outcome(status=200) if self._is_sent else None
        told = self.outcome_of_error(error)
        if told is not None or self._began is None:
            return told
        return Outcome(
            transport_error=_LATE if isinstance(error, CallTimeoutError) else _GONE,
            phase=Phase.MID_STREAM if self._is_streaming else Phase.BEFORE_FIRST_BYTE,
        )
