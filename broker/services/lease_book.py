"""The leases this replica granted and knows to live; the token tells the rest."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from broker.core.admission import Permit
from broker.core.lease_token import LeaseClaims
from broker.services.tokens import member_of

MAX_ENDED = 65_536
"""Ended leases remembered, so that a renewal cannot resurrect one."""


@dataclass(slots=True)
class LiveLease:
    """A lease that has neither ended nor expired.

    `permits` are those its trial still holds; `kept` says that a report held it for more requests.
    """

    claims: LeaseClaims
    permits: tuple[Permit, ...]
    kept: bool = False


class LeaseBook:
    """Live leases by uid, expiring by the second; bounded memory of ended ones."""

    def __init__(self) -> None:
        self._live: dict[str, LiveLease] = {}
        self._expiring: dict[int, list[str]] = {}
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._newest: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveLease]:
        return iter(self._live.values())

    def add(self, lease: LiveLease) -> None:
        """Remember a granted lease."""
        claims = lease.claims
        self._live[claims.uid] = lease
        if claims.slots or claims.permits:
            self._newest[member_of(claims)] = claims.uid
        self._schedule(claims)

    def is_superseded(self, claims: LeaseClaims) -> bool:
        """Does a repeat of the same request live here, which holds what this lease held?"""
        return self._newest.get(member_of(claims), claims.uid) != claims.uid

    def repeated(self, claims: LeaseClaims) -> LiveLease | None:
        """The live lease that an earlier call for the same request, attempt and key was given."""
        if not claims.request_id:
            return None
        uid = self._newest.get(member_of(claims))
        return self._live.get(uid) if uid else None

    def find(self, uid: str) -> LiveLease | None:
        """A live lease of this replica."""
        return self._live.get(uid)

    def ended_at(self, uid: str) -> float | None:
        """When a lease ended, as far as this replica remembers."""
        return self._ended.get(uid)

    def has_ended(self, uid: str) -> bool:
        """Is the lease known to have ended or expired here?"""
        return uid in self._ended

    def permits(self, claims: LeaseClaims) -> tuple[Permit, ...]:
        """The trials that a lease still is: a trial ends once, no later report ends it anew."""
        live = self._live.get(claims.uid)
        if live is not None:
            return live.permits
        return () if self.has_ended(claims.uid) else claims.permits

    def renew(self, uid: str, ends_at: float) -> None:
        """Move a live lease's end."""
        lease = self._live.get(uid)
        if lease is not None:
            lease.claims = replace(lease.claims, ends_at=max(ends_at, lease.claims.ends_at))
            self._schedule(lease.claims)

    def end(self, uid: str, now: float) -> LiveLease | None:
        """Forget a live lease for good; None when it was not live here."""
        self._ended.setdefault(uid, now)
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        lease = self._live.pop(uid, None)
        if lease is not None and (lease.claims.slots or lease.claims.permits):
            member = member_of(lease.claims)
            if self._newest.get(member) == uid:
                del self._newest[member]
        return lease

    def expired(self, now: float) -> Iterator[LiveLease]:
        """Take the leases whose end has passed."""
        due = [second for second in self._expiring if second < int(now)]
        for second in sorted(due):
            for uid in self._expiring.pop(second):
                lease = self._live.get(uid)
                if lease is not None and lease.claims.ends_at <= now:
                    self.end(uid, lease.claims.ends_at)
                    yield lease

    def _schedule(self, claims: LeaseClaims) -> None:
        self._expiring.setdefault(int(claims.ends_at), []).append(claims.uid)
