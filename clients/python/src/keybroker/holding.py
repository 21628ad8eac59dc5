"""Leases that are held for many requests: kept alive, dropped when their key dies, replaced."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from keybroker.ask import Ask, seconds
from keybroker.errors import BrokerError, BrokerUnavailable, LeaseLostError, NotFoundError
from keybroker.grant import Grant, instant
from keybroker.leasing import Terms, acquire, release
from keybroker.news import Board, Death
from keybroker.outcome import Outcome
from keybroker.record import CallRecord
from keybroker.steps import Farewell, Rpc, Steps
from keybroker.v1 import lease_pb2
from keybroker.verdict import Report
from keybroker.words import AdviceAction, LeaseState

RENEWAL_PAUSE_S: Final = 1.0
"""Between two renewals of a lease at least, however they end; while no news come, also at most."""

NEW_LEASES: Final = 3
"""How often a lease is asked for in a row when each dies on its way."""

_ELSEWHERE: Final = frozenset({AdviceAction.RETRY_OTHER_KEY, AdviceAction.SWITCH_MODEL})

log = logging.getLogger("keybroker")


@dataclass(slots=True, eq=False)
class Kept:
    """A held lease; times are this machine's monotonic seconds."""

    grant: Grant
    ends_at: float
    life_s: float
    asked_at: float
    users: int = 0
    is_held: bool = False
    is_last: bool = False

    @property
    def usable_until(self) -> float:
        """No request is begun after this: it would outlive the lease."""
        return self.ends_at - min(self.life_s / 10, 10.0)

    def renewal_at(self, *, is_blind: bool) -> float:
        """When to renew: with a third of its life left, or at once where nobody tells deaths."""
        soonest = self.asked_at + min(RENEWAL_PAUSE_S, self.life_s / 3)
        if is_blind:
            return soonest
        return self.ends_at if self.is_last else max(self.ends_at - self.life_s / 3, soonest)

    def renewed(self, answer: lease_pb2.RenewLeaseResponse) -> None:
        """Take the new end: how much later it is needs no clock in common with the broker."""
        expires_at = instant(answer.expire_time)
        gained_s = (expires_at - self.grant.expires_at).total_seconds()
        self.grant = replace(self.grant, lease_id=answer.lease_id, expires_at=expires_at)
        self.ends_at += gained_s
        self.is_last = gained_s <= 0


class Holding:
    """One holder's leases. Safe in threads, but for `record`, which one at a time may run.

    A death drops the lease at once: requests under way finish, new ones get another lease. While no
    news come, the lease is renewed every second, which fails when its key is quarantined, disabled,
    removed or revoked; a broker that does not answer leaves the lease in use until it ends.
    """

    def __init__(self, ask: Ask, wait_s: float, terms: Terms, board: Board) -> None:
        self._ask = ask
        self._wait_s = wait_s
        self._terms = terms
        self._board = board
        self._lock = threading.Lock()
        self._current: Kept | None = None
        self._unwanted: list[Kept] = []
        self._on_its_way: list[Death] | None = None
        self.is_begun = False
        self.wake: Callable[[], None] = _do_nothing

    def begin(self, wake: Callable[[], None]) -> None:
        """Listen to news; `wake` is called when there may be chores."""
        self.wake = wake
        self.is_begun = True
        self._board.join(self)

    def record(self, request_id: str) -> Steps[tuple[CallRecord, Kept]]:
        """The record of a request on the held lease, or on a new one.

        A trial cannot be held: it serves this request only. Raises Denied and BrokerError.
        """
        kept = self._take()
        if kept is None:
            kept = yield from self._new()
        ask = replace(self._ask.anew(), request_id=request_id) if request_id else self._ask.anew()
        if not kept.is_held:
            return CallRecord(kept.grant, ask, self._terms), kept
        return HeldRecord(self, kept, ask, self._terms), kept

    def leave(self, kept: Kept) -> None:
        """The request is over."""
        with self._lock:
            kept.users -= 1
        self.wake()

    def drop(self, kept: Kept, why: object) -> None:
        """Begin no more requests on a lease."""
        with self._lock:
            if self._current is not kept:
                return
            self._current = None
            self._unwanted.append(kept)
        log.info("dropped the lease of %s on %s: %s", kept.grant.target, kept.grant.key_id, why)
        self.wake()

    def chores(self) -> Iterator[Steps[None]]:
        """What is due now: leases to give back, and the held one to renew."""
        now = self._terms.clock()
        with self._lock:
            current, unwanted = self._current, self._unwanted
            self._unwanted = [kept for kept in unwanted if kept.users]
        for kept in unwanted:
            if not kept.users:
                yield release(kept.grant.lease_id)
        if current is not None and now >= current.usable_until:
            self.drop(current, "it ends")
        elif current is not None and now >= self._renewal_at(current):
            current.asked_at = now
            yield self._renew(current)

    def next_chore_in(self) -> float | None:
        """Seconds until there may be something to do; None: until `wake`."""
        now = self._terms.clock()
        with self._lock:
            if any(not kept.users for kept in self._unwanted):
                return 0.0
            current = self._current
        if current is None:
            return None
        return max(min(current.usable_until, self._renewal_at(current)) - now, 0.0)

    def end(self) -> Iterator[Steps[None]]:
        """Listen no more, and give everything back."""
        self.is_begun = False
        self._board.leave(self)
        with self._lock:
            current, unwanted = self._current, self._unwanted
            self._current, self._unwanted = None, []
        for kept in (*unwanted, *([current] if current else [])):
            yield release(kept.grant.lease_id)

    def begin_anew(self) -> None:
        """Forget deaths that were told before; those that stand follow."""
        with self._lock:
            self._on_its_way = None if self._on_its_way is None else []

    def hear_death(self, death: Death) -> None:
        """Drop the lease that it concerns, also one that is still on its way."""
        with self._lock:
            if self._on_its_way is not None:
                self._on_its_way.append(death)
            current = self._current
        if current is not None and death.concerns(current.grant, self._ask.tenant):
            self.drop(current, death.cause)

    def hear_recovery(self, recovery: lease_pb2.Recovery) -> None:
        """Forget the death that is over."""
        with self._lock:
            if self._on_its_way is not None:
                standing = (death for death in self._on_its_way if not death.is_over_by(recovery))
                self._on_its_way = list(standing)

    def hear_nothing(self) -> None:
        """The lease has to be renewed more often from now on."""
        self.wake()

    def _take(self) -> Kept | None:
        now = self._terms.clock()
        with self._lock:
            current = self._current
            if current is None or now >= current.usable_until:
                return None
            current.users += 1
            return current

    def _new(self) -> Steps[Kept]:
        """A lease; one whose death is told while it is on its way is given back for another.

        Deaths that were told before it was asked for are not its own: the broker knew them.
        """
        try:
            for _ in range(NEW_LEASES):
                kept = yield from self._granted()
                if self._keep(kept):
                    return kept
                yield Farewell(release(kept.grant.lease_id))
        finally:
            self._on_its_way = None
        raise BrokerUnavailable("every lease died on its way: the broker's news outrun its grants")

    def _granted(self) -> Steps[Kept]:
        self._on_its_way = []
        asked_at = self._terms.clock()
        grant = yield from acquire(self._ask.anew(), self._wait_s, self._terms)
        life_s = (grant.expires_at - grant.granted_at).total_seconds()
        return Kept(grant, asked_at + life_s, life_s, asked_at, users=1)

    def _keep(self, kept: Kept) -> bool:
        """Hold a new lease, unless it is dead; a trial only serves its one request.

        So does a lease that comes when the hold has ended meanwhile.
        """
        with self._lock:
            heard = self._on_its_way or ()
            if any(death.concerns(kept.grant, self._ask.tenant) for death in heard):
                return False
            if self._current is not None:
                self._unwanted.append(self._current)
            kept.is_held = self.is_begun and not kept.grant.trial
            self._current = kept if kept.is_held else None
        self.wake()
        return True

    def _renewal_at(self, kept: Kept) -> float:
        return kept.renewal_at(is_blind=not self._board.is_live)

    def _renew(self, kept: Kept) -> Steps[None]:
        ttl = seconds(self._ask.ttl_s)
        request = lease_pb2.RenewLeaseRequest(lease_id=kept.grant.lease_id, ttl=ttl)
        try:
            answer = yield Rpc("RenewLease", request, self._terms.timeout_s)
        except (LeaseLostError, NotFoundError) as fault:
            self.drop(kept, fault)
        except BrokerError as fault:
            log.warning("a lease was not renewed: %s", fault)
        else:
            kept.renewed(answer)


class HeldRecord(CallRecord):
    """A call on a held lease: what its report says of the key drops the lease."""

    def __init__(self, holding: Holding, kept: Kept, ask: Ask, terms: Terms) -> None:
        super().__init__(kept.grant, ask, terms, is_held=True)
        self._holding = holding
        self._kept = kept

    def reporting(
        self, outcome: Outcome, acquire_next: lease_pb2.AcquireNext | None = None
    ) -> Steps[lease_pb2.ReportOutcomeResponse]:
        """Report, and go by what the answer says of the lease."""
        try:
            answer = yield from super().reporting(outcome, acquire_next)
        except (LeaseLostError, NotFoundError) as fault:
            self._holding.drop(self._kept, fault)
            raise
        report = Report.read(answer)
        if report.lease_state is not LeaseState.LIVE or report.advice in _ELSEWHERE:
            self._holding.drop(self._kept, report.verdict.kind)
        return answer


def _do_nothing() -> None:
    """Nobody does chores yet."""
