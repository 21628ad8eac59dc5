"""Whatever happens in whatever order: replicas agree, trials are single, and everything heals."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.circuit import FOREVER
from broker.core.consequences import trial_end
from broker.core.policy import LEVEL_DECAY_S, POLICIES
from broker.core.scope import account_scope
from broker.core.verdict import Verdict
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Evidence, Family, Kind, ProbeResult, ScopeKind, State
from tests.unit.core.fleet_calls import Callers
from tests.unit.core.fleet_checks import check_agreement, circuits_over
from tests.unit.core.fleet_rig import KEY_IDS, MODELS, PROVIDER, Fleet
from tests.unit.core.given import PROBED, UNPROBED

REPLICAS = st.integers(0, 2)
PICKS = st.integers(0, 999)
KEYS = st.sampled_from(KEY_IDS)
MODEL_NAMES = st.sampled_from(MODELS)
KINDS = st.sampled_from(sorted(POLICIES))
HINTS_S = st.sampled_from([0.0, 0.0, 0.7, 30.0, 5000.0, 9e9])
LEADS_S = st.sampled_from([0.0, 0.0, 0.2, 5.0, 200.0, 9000.0])
STEPS_S = st.sampled_from([0.1, 0.5, 2.0, 15.5, 62.0, 700.0, 700.0, 3700.0, 90_000.0, 400_000.0])
DIALECTS = st.sampled_from([PROBED, UNPROBED])
EVIDENCE = st.sampled_from(Evidence)


class Replicas(RuleBasedStateMachine):
    """Three replicas of one provider under everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet()
        self.callers = Callers(self.fleet)

    # --- Leases and reports ---

    @rule(number=REPLICAS, key_id=KEYS, model=MODEL_NAMES)
    def acquire(self, number: int, key_id: str, model: str) -> None:
        """No lease on a key that this replica knows to be unusable."""
        fleet, replica = self.fleet, self.fleet.replicas[number]
        lease = fleet.acquire(number, key_id, model)
        if lease is None:
            return
        now, permits = fleet.now + replica.skew_s, set(lease.claims.permits)
        assert key_id not in replica.disabled
        for record in circuits_over(replica.health.view, fleet.keys[key_id], model, now):
            state = record.standing(now).state
            assert state is not State.OPEN
            assert state is not State.HALF_OPEN or (record.scope, record.family) in permits

    @rule(
        number=REPLICAS,
        key_id=KEYS,
        model=MODEL_NAMES,
        kind=st.none() | st.just(Kind.OK) | KINDS,
        pick=PICKS,
        hint_s=HINTS_S,
    )
    def call(
        self,
        number: int,
        key_id: str,
        model: str,
        kind: Kind | None,
        pick: int,
        hint_s: float,
    ) -> None:
        """A lease, a call, a report, all at one replica and at once; often the old trouble."""
        records = sorted(self.fleet.replicas[number].health.view.circuits(), key=repr)
        if kind is None:
            kind = records[pick % len(records)].kind if records else Kind.OK
        lease = self.fleet.acquire(number, key_id, model)
        if lease is not None:
            scope = POLICIES[kind].scope if kind in POLICIES else ScopeKind.REQUEST
            verdict = Verdict(kind, scope, Evidence.CERTAIN, "rule", retry_hint_s=hint_s)
            self.callers.tell_report(
                number, self.callers.reported(lease, verdict, number, 0.0, PROBED)
            )
            self.fleet.end(lease)

    @precondition(lambda self: self.fleet.leases)
    @rule(
        number=REPLICAS,
        pick=PICKS,
        kind=KINDS,
        evidence=EVIDENCE,
        hint_s=HINTS_S,
        lead_s=LEADS_S,
        dialect=DIALECTS,
        is_repeated=st.booleans(),
    )
    def report_failure(
        self,
        number: int,
        pick: int,
        kind: Kind,
        evidence: Evidence,
        hint_s: float,
        lead_s: float,
        dialect: Dialect,
        is_repeated: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """A failure reaches any replica, perhaps two of them, perhaps long after the lease."""
        lease = self.callers.pick_lease(pick)
        verdict = Verdict(kind, POLICIES[kind].scope, evidence, "rule", retry_hint_s=hint_s)
        reported = self.callers.reported(lease, verdict, number, lead_s, dialect)
        self.callers.tell_report(number, reported)
        if is_repeated:
            other = (number + 1) % len(self.fleet.replicas)
            self.callers.tell_report(
                other, replace(reported, replica=self.fleet.replicas[other].name)
            )
        self.fleet.end(lease)

    @precondition(lambda self: self.fleet.leases)
    @rule(
        number=REPLICAS,
        pick=PICKS,
        kind=st.sampled_from([Kind.OK, Kind.OK, Kind.CANCELLED]),
        lead_s=LEADS_S,
        is_interim=st.booleans(),
    )
    def report_no_failure(
        self,
        number: int,
        pick: int,
        kind: Kind,
        lead_s: float,
        is_interim: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """An interim success ends a trial, and not its lease."""
        lease = self.callers.pick_lease(pick)
        verdict = Verdict(kind, ScopeKind.REQUEST, Evidence.CERTAIN, "rule")
        reported = self.callers.reported(lease, verdict, number, lead_s, PROBED)
        if not is_interim:
            self.callers.tell_report(number, reported)
            self.fleet.end(lease)
        elif kind is Kind.OK:
            for permit in lease.claims.permits:
                self.fleet.tell(number, trial_end(reported, permit, passed=True))
            self.fleet.end_trial(lease)

    # --- Probes and operators ---

    @rule(
        number=REPLICAS,
        key_id=KEYS,
        result=st.sampled_from(ProbeResult),
        lead_s=LEADS_S,
        reached=st.booleans(),
    )
    def probe(
        self,
        number: int,
        key_id: str,
        result: ProbeResult,
        lead_s: float,
        reached: bool,  # noqa: FBT001 - drawn
    ) -> None:
        self.callers.probe(number, key_id, result, lead_s, reached=reached)

    @rule(
        number=REPLICAS,
        key_id=KEYS,
        what=st.sampled_from(["rotate", "disable", "enable", "clear", "clear"]),
        pick=PICKS,
        family=st.none() | st.sampled_from(Family),
    )
    def operate(
        self, number: int, key_id: str, what: str, pick: int, family: Family | None
    ) -> None:
        fleet = self.fleet
        if what == "rotate":
            fleet.rotate(number, key_id)
        elif what == "clear":
            records = list(fleet.replicas[number].health.view.circuits())
            scopes = [record.scope for record in records] or [account_scope(PROVIDER, "", "main")]
            fleet.clear(number, scopes[pick % len(scopes)], family)
        else:
            fleet.mark(number, key_id, disabled=what == "disable")

    # --- The log and the clock ---

    @precondition(lambda self: any(replica.outbox for replica in self.fleet.replicas))
    @rule(number=REPLICAS, place=PICKS, is_acknowledged=st.booleans())
    def append(self, number: int, place: int, is_acknowledged: bool) -> None:  # noqa: FBT001 - drawn
        """Appends come in any order; an unacknowledged one comes again."""
        if self.fleet.replicas[number].outbox:
            self.fleet.append(number, place, is_acknowledged=is_acknowledged)

    @rule(number=REPLICAS, entries=st.integers(1, 5))
    def deliver(self, number: int, entries: int) -> None:
        self.fleet.deliver(number, entries)

    @rule(number=REPLICAS)
    def sweep(self, number: int) -> None:
        self.fleet.sweep(number)

    @rule(step_s=STEPS_S)
    def pass_time(self, step_s: float) -> None:
        self.fleet.now += step_s
        self.fleet.expire()

    @rule(number=REPLICAS, pick=PICKS)
    def reach_a_deadline(self, number: int, pick: int) -> None:
        """Time passes until a circuit's state ends: that is where the races are."""
        now, view = self.fleet.now, self.fleet.replicas[number].health.view
        ends = sorted(record.standing(now).ends for record in view.circuits())
        ends = [end for end in ends if now < end < FOREVER]
        if ends:
            self.fleet.now = ends[pick % len(ends)] + 0.5
            self.fleet.expire()

    @rule()
    def agree(self) -> None:
        """Once everything is delivered, all replicas hold what the log amounts to."""
        fleet = self.fleet
        fleet.settle()
        check_agreement(
            [replica.health for replica in fleet.replicas], fleet.log.entries, fleet.now
        )

    @invariant()
    def trials_are_single(self) -> None:
        permits = {permit for lease in self.fleet.leases for permit in lease.claims.permits}
        assert all(self.fleet.trials_under_way(permit) <= 1 for permit in permits)

    @invariant()
    def slots_are_within_the_cap(self) -> None:
        for key_id in KEY_IDS:
            held = [
                lease
                for lease in self.fleet.leases
                if lease.claims.key_id == key_id
                and not lease.is_over
                and self.fleet.now < lease.claims.ends_at
            ]
            assert len(held) == self.fleet.claims.slots_in_use(key_id, self.fleet.now) <= 2

    # --- The end of every story ---

    def teardown(self) -> None:
        """Every state can be left, nothing leaks, and records vanish once healed."""
        self.agree()
        for key_id in KEY_IDS:
            self.fleet.mark(0, key_id, disabled=False)
        for _ in range(40):
            if self.callers.heal():
                break
        else:
            raise AssertionError("some key cannot be leased whatever passes")
        for _ in range(2):  # the end of a trial that ran out is told once its permit expired
            self.fleet.now += 400.0
            self.fleet.expire()
        assert self.fleet.claims.permits_in_use(self.fleet.now) == 0
        assert sum(self.fleet.claims.slots_in_use(key, self.fleet.now) for key in KEY_IDS) == 0
        self.agree()
        records = list(self.fleet.replicas[0].health.confirmed.circuits())
        levels = max((record.level for record in records), default=0)
        self.fleet.now += levels * LEVEL_DECAY_S + 1.0
        for replica in self.fleet.replicas:
            replica.health.confirmed.sweep(self.fleet.now)
            assert replica.health.view.is_calm()


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
