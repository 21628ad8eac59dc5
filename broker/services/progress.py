"""Work that takes long, told of while it lasts."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

TELL_EVERY_S = 0.5

T = TypeVar("T")


async def told(work: Coroutine[Any, Any, None], tell: Callable[[], T]) -> AsyncGenerator[T, None]:
    """What `tell` says, again and again until the work is done; leaving ends the work.

    Raises what the work raises.
    """
    task = asyncio.create_task(work)
    try:
        while True:
            await asyncio.wait({task}, timeout=TELL_EVERY_S)
            if task.done():
                break
            yield tell()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
