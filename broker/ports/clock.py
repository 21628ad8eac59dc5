"""Time, as everything above the core reads it."""

from typing import Protocol


class Clock(Protocol):
    """The replica's clock."""

    def now(self) -> float:
        """Epoch seconds; never goes back and follows the monotonic clock. Does not block."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` of this clock have passed; cancellable."""
        ...
