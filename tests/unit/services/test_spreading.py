"""Work on many things: in order, a few side by side, and nobody is held up."""

import asyncio

import pytest

from broker.services.spreading import AT_ONCE, Breath, spread


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, 5 * AT_ONCE + 1])
async def test_results_come_in_order_whenever_they_are_ready(count: int) -> None:
    async def work(number: int) -> int:
        for _ in range((number * 7) % 5):
            await asyncio.sleep(0)
        return number * number

    assert await spread(work, range(count)) == [number * number for number in range(count)]


async def test_the_first_error_ends_all_of_it() -> None:
    begun = []

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 3:
            raise LookupError

    with pytest.raises(LookupError):
        await spread(work, range(1000))
    await asyncio.sleep(0)
    seen = len(begun)
    for _ in range(5):
        await asyncio.sleep(0)
    assert seen == len(begun) < 100


async def test_a_cancelled_one_leaves_nothing_running() -> None:
    async def work(_number: int) -> None:
        await asyncio.Event().wait()

    spreading = asyncio.create_task(spread(work, range(100)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    spreading.cancel()
    await asyncio.gather(spreading, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_breath_lets_others_run_only_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, turns = 0.0, 0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)

    async def others() -> None:
        nonlocal turns
        turns += 1

    breath = Breath()
    task = asyncio.create_task(others())
    await breath.draw()
    assert turns == 0
    now = 1.0
    await breath.draw()
    assert turns == 1
    await task
