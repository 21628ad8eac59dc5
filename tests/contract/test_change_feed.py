"""What every change feed promises."""

from collections.abc import AsyncIterator

import pytest

from broker.ports.changes import Changed, Subject
from tests.contract.adapters import CHANGE_FEEDS
from tests.contract.shared_rigs import FeedRig
from tests.fakes import eventually


@pytest.fixture(params=CHANGE_FEEDS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[FeedRig]:
    async with CHANGE_FEEDS[request.param]() as rig:
        yield rig


async def test_nothing_can_have_been_missed_from_the_beginning_to_the_end(rig: FeedRig) -> None:
    current = [rig.feed.is_current]
    await rig.feed.follow(lambda _: None)
    current.append(rig.feed.is_current)
    await rig.feed.close()
    current.append(rig.feed.is_current)
    assert current == [False, True, False]


async def test_what_was_changed_before_is_no_news(rig: FeedRig) -> None:
    told: list[Changed] = []
    await rig.change()
    await rig.feed.follow(told.append)
    assert told == []


async def test_what_another_broker_changes_is_told(rig: FeedRig) -> None:
    told: list[Changed] = []
    await rig.feed.follow(told.append)
    await rig.change()
    await eventually(lambda: bool(told))
    assert told == [Changed(Subject.MARKS)]


async def test_nothing_is_told_after_the_end(rig: FeedRig) -> None:
    told: list[Changed] = []
    await rig.feed.follow(told.append)
    await rig.feed.close()
    await rig.feed.close()
    await rig.change()
    assert told == []
