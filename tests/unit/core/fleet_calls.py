"""What gateways and probes tell a fleet."""

from broker.core.admission import takes_customer_trial
from broker.core.consequences import Reported, consequences, is_counted
from broker.core.facts import CallFailed, ProbeEnded
from broker.core.verdict import Verdict
from broker.core.verdicts.dialect import Dialect
from broker.core.words import Evidence, Family, Kind, ProbeResult, ScopeKind, State
from tests.unit.core.fleet_rig import KEY_IDS, MODELS, PROVIDER, Fleet, Lease
from tests.unit.core.given import PROBED


class Callers:
    """Those who hold leases on a fleet's keys, and those who probe them."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def pick_lease(self, pick: int) -> Lease:
        """A lease, most often one that is a trial under way."""
        leases = self.fleet.leases
        trials = [lease for lease in leases if lease.has_trial]
        return trials[pick % len(trials)] if trials and pick % 4 else leases[pick % len(leases)]

    def reported(
        self, lease: Lease, verdict: Verdict, number: int, lead_s: float, dialect: Dialect
    ) -> Reported:
        return Reported(
            verdict=verdict,
            claims=lease.claims,
            dialect=dialect,
            report_id=self.fleet.new_id("report"),
            replica=self.fleet.replicas[number].name,
            lead_s=lead_s,
            now=self.fleet.now,
        )

    def tell_report(self, number: int, reported: Reported) -> None:
        for fact in consequences(reported):
            self.fleet.tell(number, fact)
        if is_counted(reported.verdict):
            self.fleet.tell(number, self._trip(reported))

    def _trip(self, reported: Reported) -> CallFailed:
        """What an upstream's window says when this report was one too many."""
        is_own = reported.verdict.kind is Kind.UNREACHABLE
        kind = ScopeKind.UPSTREAM_PRINCIPAL if is_own else ScopeKind.UPSTREAM
        scope = reported.claims.scope(kind)
        return CallFailed(
            fact_id=f"trip/{reported.report_id}",
            provider=PROVIDER,
            replica=reported.replica,
            lead_s=reported.lead_s,
            scope=scope,
            family=Family.HEALTH,
            kind=reported.verdict.kind,
            evidence=Evidence.CERTAIN,
            rule="window",
            model=scope.model,
        )

    def probe(
        self, number: int, key_id: str, result: ProbeResult, lead_s: float, *, reached: bool
    ) -> None:
        fact = ProbeEnded(
            fact_id=self.fleet.new_id("probe"),
            provider=PROVIDER,
            replica=self.fleet.replicas[number].name,
            lead_s=lead_s,
            key_id=key_id,
            revision=self.fleet.keys[key_id].revision,
            result=result,
            reached=reached,
        )
        self.fleet.tell(number, fact)

    def succeed(self, number: int, lease: Lease) -> None:
        """A call that went well, told at once."""
        verdict = Verdict(Kind.OK, ScopeKind.REQUEST, Evidence.CERTAIN, "rule")
        self.tell_report(number, self.reported(lease, verdict, number, 0.0, PROBED))
        self.fleet.end(lease)

    def heal(self) -> bool:
        """One round of probes and calls that all go well; says whether nothing was in the way."""
        fleet, replica = self.fleet, self.fleet.replicas[0]
        for key_id, revision in fleet.retired:
            fleet.retire(0, key_id, revision)  # late reports may have opened circuits since
        for record in list(replica.health.view.circuits()):
            is_quarantine = record.family is Family.CREDENTIAL
            if is_quarantine and record.standing(fleet.now).state in {State.OPEN, State.HALF_OPEN}:
                assert record.standing(fleet.now).state is State.OPEN or (
                    takes_customer_trial(record) or record.probeable
                )
                self.probe(0, record.scope.key_id, ProbeResult.AUTHENTICATED, 0.0, reached=True)
        fleet.settle()
        fleet.now = max([fleet.now, *(r.until for r in replica.health.view.circuits())]) + 1.0
        fleet.expire()
        is_free = True
        for key_id in KEY_IDS:
            for model in MODELS:
                fleet.now += 13.0
                fleet.expire()
                lease = fleet.acquire(0, key_id, model)
                is_free = is_free and lease is not None and not lease.claims.permits
                if lease is not None:
                    verdict = Verdict(Kind.OK, ScopeKind.REQUEST, Evidence.CERTAIN, "rule")
                    self.tell_report(0, self.reported(lease, verdict, 0, 0.0, PROBED))
                    fleet.end(lease)
        return is_free
