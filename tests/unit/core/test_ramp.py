"""Slow start: each replica grants at most what the ramp allows so far."""

from broker.core.admission import Block
from broker.core.circuit import Circuit, reopen
from broker.core.ramp import RampLedger
from broker.core.words import DenialReason, Family
from tests.unit.core.given import NOW, TROUBLES, Story, failed


def ramp(family: Family = Family.QUOTA, reopened_at: float = NOW) -> Circuit:
    """A circuit that began to ramp at `reopened_at`."""
    story = Story()
    story.tell(failed("f", family))
    return reopen(story.circuit(family), reopened_at)


def test_a_ramp_grants_one_lease_then_two_then_four_in_all() -> None:
    ledger, ramps = RampLedger(), (ramp(),)
    granted = 0
    for step, allowance in enumerate((1, 2, 4, 8)):
        now = NOW + 2.0 * step
        while ledger.block(ramps, now) is None:
            ledger.note_grant(ramps, now)
            granted += 1
        assert granted == allowance


def test_a_full_ramp_denies_until_its_step_ends() -> None:
    ledger, ramps = RampLedger(), (ramp(),)
    assert ledger.block((), NOW) is None
    ledger.note_grant(ramps, NOW)
    assert ledger.block(ramps, NOW + 0.5) == Block(DenialReason.AT_CAPACITY, NOW + 2.0)


def test_of_several_full_ramps_the_longest_step_counts() -> None:
    ledger = RampLedger()
    limit = Story()
    limit.tell(failed("f", Family.LIMIT))
    record = limit.circuit(Family.LIMIT)
    ramps = (record, ramp(reopened_at=record.until))
    ledger.note_grant(ramps, record.until)
    assert ledger.block(ramps, record.until) == Block(DenialReason.AT_CAPACITY, record.until + 2.0)


def test_each_reopening_begins_anew() -> None:
    ledger = RampLedger()
    ledger.note_grant((ramp(),), NOW)
    assert ledger.block((ramp(reopened_at=NOW + 60.0),), NOW + 60.0) is None


def test_a_sweep_forgets_ramps_whose_records_are_gone() -> None:
    ledger, ramps = RampLedger(), (ramp(),)
    ledger.note_grant(ramps, NOW)
    ledger.sweep({(TROUBLES[Family.QUOTA][0], Family.QUOTA)})
    assert ledger.block(ramps, NOW) is not None
    ledger.sweep(set())
    assert ledger.block(ramps, NOW) is None
