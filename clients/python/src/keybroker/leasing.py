"""Leases asked for and given back, as programs."""

from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from google.protobuf.message import Message

from keybroker.ask import Ask
from keybroker.denial import Denial
from keybroker.errors import BrokerError, Denied
from keybroker.grant import Grant
from keybroker.steps import Clock, Farewell, Pause, Rpc, Steps
from keybroker.v1 import lease_pb2

FAREWELL_S: Final = 2.0
"""How long leaving a lease may take."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long an RPC may take, retries included, and by which clock."""

    timeout_s: float
    clock: Clock = monotonic

    def within(self, seconds: float) -> "Terms":
        """The same, for whoever has no more time than this."""
        return replace(self, timeout_s=min(self.timeout_s, seconds))


def acquire(ask: Ask, wait_s: float, terms: Terms) -> Steps[Grant]:
    """A lease. Waits up to `wait_s` in all where the broker says that waiting helps.

    Raises Denied and BrokerError.
    """
    deadline = terms.clock() + wait_s
    while True:
        rpc = Rpc("AcquireLease", ask.acquire(), terms.timeout_s)
        answer: lease_pb2.AcquireLeaseResponse = yield rpc
        if answer.HasField("lease"):
            return (yield from taken(answer.lease))
        denial = Denial.read(answer.denial)
        pause = denial.worth_waiting
        if pause is None or terms.clock() + pause.total_seconds() > deadline:
            raise Denied(denial)
        yield Pause(pause.total_seconds())


def taken(message: lease_pb2.Lease) -> Steps[Grant]:
    """A granted lease; one that this client cannot use is given back. Raises BrokerError."""
    try:
        return Grant.take(message)
    except BrokerError:
        yield Farewell(release(message.lease_id))
        raise


def release(lease_id: str, timeout_s: float = FAREWELL_S) -> Steps[None]:
    """Give a lease back."""
    yield Rpc("ReleaseLease", lease_pb2.ReleaseLeaseRequest(lease_id=lease_id), timeout_s)


def lease_id_in(answer: Message) -> str:
    """The id of the lease that an answer brings; "" when it brings none."""
    grants = lease_pb2.AcquireLeaseResponse | lease_pb2.ReportOutcomeResponse
    return answer.lease.lease_id if isinstance(answer, grants) else ""
