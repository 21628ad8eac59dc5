"""Each row of the transition table, told as facts."""

import pytest

from broker.core.circuit import TRANSITIONS, Action, Event
from broker.core.facts import CircuitCleared
from broker.core.words import Family, State
from tests.unit.core.given import ACCOUNT, PROVIDER, Story, failed, trial

CLEARED = CircuitCleared(
    fact_id="event",
    provider=PROVIDER,
    replica="a",
    scope=ACCOUNT,
    family=Family.QUOTA,
    principal="operator",
)


def ramping() -> Story:
    """A story whose quota circuit began to ramp a second ago."""
    story = Story()
    story.tell(failed("first", Family.QUOTA))
    story.now = story.circuit(Family.QUOTA).until
    story.tell(trial("healed", Family.QUOTA, passed=True))
    story.now += 1.0
    return story


def in_state(state: State) -> Story:
    """A story whose quota circuit has stood in `state` for a second, with a record."""
    if state is State.RAMPING:
        return ramping()
    story = Story()
    story.tell(failed("first", Family.QUOTA))
    if state is State.OPEN:
        story.now += 1.0
    if state is State.HALF_OPEN:
        story.now = story.circuit(Family.QUOTA).until + 1.0
    if state is State.CLOSED:
        story = ramping()
        story.now = story.circuit(Family.QUOTA).standing(story.now).ends + 1.0
    assert story.state(Family.QUOTA) is state
    return story


def tell(story: Story, event: Event) -> None:
    """Tell the fact that is `event` to a circuit that stood in its state for a second."""
    late_s = 1000.0 if event is Event.FAILED_LATE else 9e6 if event is Event.PASSED_LATE else 0.0
    if event in {Event.FAILED, Event.FAILED_LATE, Event.TRIAL_FAILED}:
        is_trial = event is Event.TRIAL_FAILED
        hint_s = 7200.0 if story.state(Family.QUOTA) is State.OPEN else 0.0
        story.tell(failed("event", Family.QUOTA, lead_s=late_s, is_trial=is_trial, hint_s=hint_s))
    elif event is Event.CLEARED:
        story.tell(CLEARED)
    else:
        passed = event is not Event.RETURNED
        story.tell(trial("event", Family.QUOTA, passed=passed, lead_s=late_s))


@pytest.mark.parametrize(("state", "event"), TRANSITIONS)
def test_every_row_of_the_table_does_what_it_says(state: State, event: Event) -> None:
    story = in_state(state)
    before = story.circuit(Family.QUOTA)
    tell(story, event)
    after = story.find(Family.QUOTA)
    match TRANSITIONS[state, event]:
        case Action.TRIP:
            assert after is not None
            assert story.state(Family.QUOTA) is State.OPEN
            assert after.level == before.level + 1
        case Action.LENGTHEN:
            assert after is not None
            assert after.until > before.until
            assert (after.level, after.opened_at) == (before.level, before.opened_at)
        case Action.REOPEN:
            assert story.state(Family.QUOTA) is State.RAMPING
        case Action.DROP:
            assert after is None
        case Action.IGNORE | Action.RESTEP:
            assert after == before
