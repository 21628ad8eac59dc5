"""A fleet in miniature: three replicas of one provider, and time that a test moves.

The log delivers late, in order and sometimes twice; an append may happen twice when its
acknowledgement got lost. Clocks of replicas differ a little from log time.
"""

from dataclasses import dataclass, field, replace

from broker.core.admission import Permit, admit, key_scopes, upstream_scopes
from broker.core.facts import (
    CIRCUIT_FACTS,
    CircuitCleared,
    Fact,
    MarkAnnounced,
    RevisionRetired,
    TrialEnded,
)
from broker.core.key import Key, KeyLimits
from broker.core.lease_token import LeaseClaims, sign, verify
from broker.core.ramp import RampLedger
from broker.core.replica import ReplicaHealth
from broker.core.scope import Scope, Upstream
from broker.core.secret import Secret
from broker.core.words import Family, Provenance
from tests.unit.core.fleet_checks import PRINCIPAL, check_deadlines, snapshot
from tests.unit.core.fleet_store import CAP, PERMIT_S, ClaimTable, SharedLog

PROVIDER = "openai"
KEY_IDS = ("k1", "k2")
MODELS = ("m1", "m2")
SECRET = b"signing"
TTL_S = 300.0
START = 1_750_000_000.0


@dataclass(slots=True)
class Lease:
    """A granted lease as its holder and its granting replica know it."""

    lease_id: str
    granted_by: int
    permits_until: float
    has_trial: bool
    is_over: bool = False

    @property
    def claims(self) -> LeaseClaims:
        return verify(self.lease_id, [SECRET])


@dataclass(slots=True)
class Replica:
    """One broker process: its health, its ramps, the facts it has yet to append."""

    name: str
    skew_s: float
    health: ReplicaHealth = field(default_factory=ReplicaHealth)
    ramps: RampLedger = field(default_factory=RampLedger)
    outbox: list[tuple[Fact, float]] = field(default_factory=list)
    disabled: frozenset[str] = frozenset()


class Fleet:
    """Three replicas that lease two keys of one account."""

    def __init__(self) -> None:
        self.now = START
        self.log = SharedLog()
        self.claims = ClaimTable()
        self.replicas = [Replica("a", 0.0), Replica("b", 0.4), Replica("c", -0.3)]
        self.keys = {key_id: _key(key_id) for key_id in KEY_IDS}
        self.disabled: frozenset[str] = frozenset()
        self.leases: list[Lease] = []
        self.retired: list[tuple[str, str]] = []
        self._ids = 0

    def new_id(self, what: str) -> str:
        self._ids += 1
        return f"{what}-{self._ids}"

    # --- Facts ---

    def tell(self, number: int, fact: Fact) -> None:
        """A replica learns something: it acts on it at once, and will append it.

        Every other fact that would change nothing is logged all the same, as by a replica that
        has not heard of what makes it idle.
        """
        replica = self.replicas[number]
        now = self.now + replica.skew_s
        is_idle = not replica.health.would_change(fact, now)
        if is_idle and isinstance(fact, CIRCUIT_FACTS) and self._ids % 2:
            return
        check_deadlines(fact, replica.health.fold_own(fact, now))
        replica.outbox.append((fact, now))

    def append(self, number: int, place: int, *, is_acknowledged: bool) -> None:
        """Append any of a replica's facts; unacknowledged ones will be appended again."""
        replica = self.replicas[number]
        fact, happened = replica.outbox[place % len(replica.outbox)]
        now = self.now + replica.skew_s
        self.log.append(fact, max(now - happened, 0.0), self.now)
        if is_acknowledged:
            replica.outbox.remove((fact, happened))

    def deliver(self, number: int, entries: int) -> None:
        """Deliver a replica's next entries, the last one before them once more."""
        replica = self.replicas[number]
        position = replica.health.position
        for entry in self.log.entries[max(position - 1, 0) : position + entries]:
            check_deadlines(entry.fact, replica.health.confirm(entry))
            if isinstance(entry.fact, MarkAnnounced):
                replica.disabled = self.disabled

    def settle(self) -> None:
        """Append what is pending and deliver everything everywhere."""
        for number, replica in enumerate(self.replicas):
            while replica.outbox:
                self.append(number, 0, is_acknowledged=True)
        for number in range(len(self.replicas)):
            self.deliver(number, len(self.log.entries))

    def sweep(self, number: int) -> None:
        """Forget what is spent at the last log time that this replica knows."""
        health = self.replicas[number].health
        if health.position:
            health.confirmed.sweep(self.log.entries[health.position - 1].at)

    # --- Leases ---

    def acquire(self, number: int, key_id: str, model: str) -> Lease | None:
        """Lease a key where every circuit, ramp, cap and mark over it admits."""
        replica, key = self.replicas[number], self.keys[key_id]
        now, upstream = self.now + replica.skew_s, Upstream(PROVIDER, "", model)
        scopes = key_scopes(key, model) + upstream_scopes(upstream, PRINCIPAL)
        admission = admit([replica.health.view], scopes, now)
        full = replica.ramps.block(admission.ramps, now)
        if admission.block or full or key_id in replica.disabled:
            return None
        claims = LeaseClaims(
            uid=self.new_id("lease"),
            key_id=key_id,
            revision=key.revision,
            owner=key.owner,
            account=key.account,
            provenance=key.provenance,
            upstream=upstream,
            tenant="",
            principal=PRINCIPAL,
            first_granted_at=self.now,
            granted_at=self.now,
            ends_at=self.now + TTL_S,
            slots=1,
            permits=admission.permits,
        )
        if not self.claims.claim(claims, self.now):
            return None
        replica.ramps.note_grant(admission.ramps, now)
        lease = Lease(sign(claims, SECRET), number, self.now + PERMIT_S, bool(admission.permits))
        self.leases.append(lease)
        return lease

    def end_trial(self, lease: Lease) -> None:
        """Give the permits of a lease back."""
        lease.has_trial = False
        self.claims.release_permits(lease.claims)

    def end(self, lease: Lease) -> None:
        """Give back all that a lease holds."""
        lease.is_over = True
        self.end_trial(lease)
        self.claims.release_slots(lease.claims)

    def expire(self) -> None:
        """What the granting replicas do when the time of permits and leases is over."""
        for lease in self.leases:
            if lease.has_trial and self.now >= lease.permits_until:
                self.end_trial(lease)
                for permit in lease.claims.permits:
                    self.tell(lease.granted_by, self._returned(permit))
            if self.now >= lease.claims.ends_at:
                self.end(lease)

    def trials_under_way(self, permit: Permit) -> int:
        """Leases that are a circuit's trial now, whatever the claims say."""
        return sum(
            lease.has_trial and self.now < lease.permits_until and permit in lease.claims.permits
            for lease in self.leases
        )

    # --- Operators, sources, probes ---

    def rotate(self, number: int, key_id: str) -> None:
        """A source brings a new revision of a key: the old one is gone."""
        old = self.keys[key_id]
        revision = f"r{int(old.revision[1:]) + 1}"
        self.keys[key_id] = replace(old, revision=revision)
        self.retired.append((key_id, old.revision))
        self.retire(number, key_id, old.revision)

    def retire(self, number: int, key_id: str, revision: str) -> None:
        fact = RevisionRetired(
            fact_id=self.new_id("retired"),
            provider=PROVIDER,
            replica=self.replicas[number].name,
            key_id=key_id,
            revision=revision,
        )
        self.tell(number, fact)

    def mark(self, number: int, key_id: str, *, disabled: bool) -> None:
        """An operator disables or enables a key through one replica."""
        self.disabled = self.disabled | {key_id} if disabled else self.disabled - {key_id}
        self.replicas[number].disabled = self.disabled
        fact = MarkAnnounced(
            fact_id=self.new_id("mark"),
            provider=PROVIDER,
            replica=self.replicas[number].name,
            mark="disabled" if disabled else "enabled",
            subject=key_id,
            principal="operator",
        )
        self.tell(number, fact)

    def clear(self, number: int, scope: Scope, family: Family | None) -> None:
        fact = CircuitCleared(
            fact_id=self.new_id("clear"),
            provider=PROVIDER,
            replica=self.replicas[number].name,
            scope=scope,
            family=family,
            principal="operator",
        )
        self.tell(number, fact)
        left = snapshot(self.replicas[number].health.view, self.now)
        assert not {(scope, one) for one in Family if family in {None, one}} & left.keys()

    def _returned(self, permit: Permit) -> TrialEnded:
        return TrialEnded(
            fact_id=self.new_id("returned"),
            provider=PROVIDER,
            replica="a",
            scope=permit.scope,
            family=permit.family,
            passed=False,
        )


def _key(key_id: str) -> Key:
    return Key(
        key_id=key_id,
        revision="r0",
        provider=PROVIDER,
        secret=Secret(key_id),
        provenance=Provenance.SYSTEM,
        limits=KeyLimits(concurrency=CAP),
        account="main",
    )
