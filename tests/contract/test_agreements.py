"""What all agreements promise."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.ports.agreements import Agreements, Attendance
from tests.contract.adapters import AGREEMENTS
from tests.fakes import START

HERE = Attendance("here", START, frozenset({"old", "new"}))
THERE = Attendance("there", START + 1.0, frozenset())
DAY_S = 24 * 3600.0


@pytest.fixture(params=AGREEMENTS)
async def agreements(request: pytest.FixtureRequest) -> AsyncIterator[Agreements]:
    async with AGREEMENTS[request.param]() as agreements:
        yield agreements


async def test_nothing_is_agreed_on_at_first(agreements: Agreements) -> None:
    assert await agreements.get("sealing_key") is None
    assert list(await agreements.present(0.0)) == []


async def test_what_is_put_holds_until_something_else_is(agreements: Agreements) -> None:
    for value in ("one", "", "two"):
        await agreements.put("sealing_key", value)
        assert await agreements.get("sealing_key") == value
    assert await agreements.get("another") is None


async def test_the_first_to_put_a_value_decides(agreements: Agreements) -> None:
    assert await agreements.put_first("check", "") == ""
    assert await agreements.put_first("check", "second") == ""
    await agreements.put("check", "third")
    assert await agreements.put_first("check", "fourth") == "third"


async def test_all_who_put_at_once_learn_the_same(agreements: Agreements) -> None:
    values = [f"v{number}" for number in range(10)]
    learnt = await asyncio.gather(*(agreements.put_first("check", value) for value in values))
    assert len(set(learnt)) == 1
    assert await agreements.get("check") == learnt[0]


async def test_those_who_attend_are_present_by_name(agreements: Agreements) -> None:
    await agreements.attend(THERE)
    await agreements.attend(HERE)
    assert list(await agreements.present(START)) == [HERE, THERE]
    assert list(await agreements.present(START + 0.5)) == [THERE]


async def test_who_attends_again_is_seen_as_of_then(agreements: Agreements) -> None:
    await agreements.attend(HERE)
    later = replace(HERE, seen_at=START + 5.0, sealing_keys=frozenset({"new"}))
    await agreements.attend(later)
    assert list(await agreements.present(0.0)) == [later]


async def test_who_leaves_is_not_present(agreements: Agreements) -> None:
    await agreements.attend(HERE)
    await agreements.attend(THERE)
    await agreements.leave("here")
    await agreements.leave("here")
    assert list(await agreements.present(0.0)) == [THERE]


async def test_who_was_not_seen_for_a_day_is_forgotten(agreements: Agreements) -> None:
    await agreements.attend(HERE)
    await agreements.attend(replace(THERE, seen_at=START + DAY_S))
    assert len(await agreements.present(0.0)) == 2
    await agreements.attend(replace(THERE, seen_at=START + DAY_S + 1.0))
    assert [one.replica for one in await agreements.present(0.0)] == ["there"]
