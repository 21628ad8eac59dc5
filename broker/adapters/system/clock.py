"""The time as it was at the start, carried on by the monotonic clock."""

import asyncio
import time


class SystemClock:
    """Epoch seconds that no adjustment of the wall clock turns back or makes jump.

    It drifts from the wall clock as far as that is corrected while the process runs. It begins no
    earlier than `not_before`, what an earlier process wrote down last: where the wall clock was
    turned back meanwhile, what is open stays so for as long as it was meant to, and no longer.
    With `begins_at` it begins there, at the time of whatever keeps time for several brokers.
    """

    def __init__(self, not_before: float = 0.0, begins_at: float | None = None) -> None:
        begins_at = time.time() if begins_at is None else begins_at
        self._offset = max(begins_at, not_before) - time.monotonic()

    def now(self) -> float:
        """Epoch seconds."""
        return self._offset + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep, never a hair too short: event loops wake up to a timer's resolution early."""
        end, left = self.now() + seconds, max(seconds, 0.0)
        while True:
            await asyncio.sleep(left)
            left = end - self.now()
            if left <= 0:
                return
