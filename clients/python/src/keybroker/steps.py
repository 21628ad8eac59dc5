"""What the client does, as programs that do no I/O by themselves.

A program is a generator: it yields the next step and is sent what came of it, or thrown what went
wrong. `keybroker.aio` and `keybroker.sync` carry steps out, each in its own way, so that every
decision (what to retry, what to report, which advice to follow) stands once.

Retries are decided here and not in gRPC's service config: that one stops at five tries, gives all
of them one deadline, so that a replica that hangs would use it up, and cannot leave a replica that
says it is draining.
"""

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from google.protobuf.message import Message

from keybroker.errors import DRAINING, BrokerUnavailable
from keybroker.v1.lease_pb2 import AcquireLeaseRequest, ReportOutcomeRequest

if TYPE_CHECKING:
    from keybroker.record import CallRecord

TRY_S: Final = 2.0
"""The longest that one try waits: a replica that hangs is left while there is time for another."""

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0

Clock: TypeAlias = Callable[[], float]
"""Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Send:
    """One try of an RPC of LeaseService; raises BrokerError."""

    method: str
    request: Message
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Rpc:
    """An RPC, tried until it is answered or its time is over; raises BrokerError.

    All RPCs of LeaseService may be repeated: an acquire by request id and attempt, a report by
    outcome id, a renewal and a release by what they mean. One that may bring a lease gets its
    answer also when its caller is cancelled, and the lease is given back.
    """

    method: str
    request: Message
    timeout_s: float

    @property
    def may_grant(self) -> bool:
        """May the answer bring a lease?"""
        request = self.request
        if isinstance(request, ReportOutcomeRequest):
            return request.HasField("acquire_next")
        return isinstance(request, AcquireLeaseRequest)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Use:
    """Run the caller's function on a lease: raises what it raises, CallTimeoutError when late."""

    record: "CallRecord"
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Farewell:
    """Run a program that leaves things in order, in bounded time and also when cancelled.

    What goes wrong with it is logged, not raised: something else matters more.
    """

    steps: "Steps[None]"


Step: TypeAlias = Send | Rpc | Pause | Use | Farewell

T = TypeVar("T")

Steps: TypeAlias = Generator[Step, Any, T]


def tries(rpc: Rpc, clock: Clock) -> Steps[Message]:
    """An RPC as its tries."""
    deadline = clock() + rpc.timeout_s
    pauses = backoff()
    has_moved = False
    while True:
        left = max(deadline - clock(), 0.001)
        try:
            answer: Message = yield Send(rpc.method, rpc.request, min(left, TRY_S))
            return answer
        except BrokerUnavailable as error:
            moves = error.reason == DRAINING and not has_moved  # another connection is open at once
            pause = 0.0 if moves else next(pauses)
            has_moved = has_moved or moves
            if clock() + pause >= deadline:
                raise
        yield Pause(pause)


def backoff(first_s: float = FIRST_PAUSE_S, longest_s: float = LONGEST_PAUSE_S) -> Iterator[float]:
    """Pauses that double, each drawn from its upper half, so that a crowd comes back spread."""
    pause = first_s
    while True:
        yield random.uniform(pause / 2, pause)
        pause = min(2 * pause, longest_s)
