"""The feed of a broker that is alone with what it keeps."""

from broker.ports.changes import Deliver


class MemoryChangeFeed:
    """Tells nothing: nobody else changes what is kept. It serves memory and SQLite."""

    def __init__(self) -> None:
        self._follows = False

    @property
    def is_current(self) -> bool:
        """There is nothing to miss."""
        return self._follows

    async def follow(self, deliver: Deliver) -> None:
        """Begin to tell nothing."""
        self._follows = True

    async def close(self) -> None:
        """End that."""
        self._follows = False
