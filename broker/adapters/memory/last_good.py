"""Last good revisions for as long as the process lives."""

from broker.ports.last_good import LastGood


class MemoryLastGoodStore:
    """One last good revision a key; never unavailable."""

    def __init__(self) -> None:
        self._kept: dict[str, LastGood] = {}

    async def all(self) -> tuple[LastGood, ...]:
        """Every one there is."""
        return tuple(self._kept.values())

    async def put(self, last_good: LastGood) -> None:
        """Keep it in place of the key's earlier one."""
        self._kept[last_good.key_id] = last_good

    async def remove(self, key_id: str) -> None:
        """Forget a key's, if there is one."""
        self._kept.pop(key_id, None)
