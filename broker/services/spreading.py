"""Work on many things without holding up anybody: a few side by side, and breath between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

AT_ONCE = 16
"""Things that are worked on side by side, where each may wait for another service."""

SLICE_S = 0.003
"""How long one task may have the event loop before others run."""

T = TypeVar("T")
R = TypeVar("R")


class Breath:
    """Lets others run when this task has had the event loop for a while."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + SLICE_S

    async def draw(self) -> None:
        """Go on at once, or after the others."""
        if self._loop.time() >= self._ends:
            await asyncio.sleep(0)
            self._ends = self._loop.time() + SLICE_S


async def spread(work: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """The result for each item, in order; the first error ends all of it."""
    results: dict[int, R] = {}
    rest = enumerate(items)

    async def go_through() -> None:
        for number, item in rest:
            results[number] = await work(item)
            await asyncio.sleep(0)  # work that waits for nothing must not run to the end

    tasks = [asyncio.create_task(go_through()) for _ in range(min(AT_ONCE, len(items)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return [results[number] for number in range(len(items))]
