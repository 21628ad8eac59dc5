"""Cancel a coroutine at each of its awaits."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any


class CancelledAtAwait:
    """Awaits a coroutine, and cancels its task when it waits for the n-th time."""

    def __init__(self, coroutine: Awaitable[object], number: int) -> None:
        self._coroutine = coroutine
        self._number = number

    def __await__(self) -> Generator[Any, None, None]:
        running = self._coroutine.__await__()
        send: Callable[[], Any] = lambda: running.send(None)  # noqa: E731 - replaced below
        for number in range(1, 10_000):
            try:
                awaited = send()
            except StopIteration:
                return
            if number == self._number:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - passed on to where it belongs
                send = _throwing(running, error)
            else:
                send = _sending(running)


def _sending(running: Generator[Any, None, object]) -> Callable[[], Any]:
    return lambda: running.send(None)


def _throwing(running: Generator[Any, None, object], error: BaseException) -> Callable[[], Any]:
    return lambda: running.throw(error)


async def cancelled_at(coroutine: Awaitable[object], number: int) -> bool:
    """Run a coroutine that is cancelled at its n-th await; whether it was."""

    async def run() -> None:
        await CancelledAtAwait(coroutine, number)

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    return False
