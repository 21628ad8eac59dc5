"""Keys of tenants that were deleted, for as long as leases on them may be out."""

DELETED_S = 2 * 3600.0
"""A deleted key is remembered for longer than any lease on it can live."""


class DeletedKeys:
    """When keys were deleted, by id."""

    def __init__(self) -> None:
        self._deleted: dict[str, float] = {}

    def note(self, key_id: str, at: float) -> None:
        """A key was deleted, now or a little earlier."""
        self._deleted[key_id] = max(at, self._deleted.pop(key_id, at))  # the latest noted is last
        while (oldest := next(iter(self._deleted.items())))[1] < at - DELETED_S:
            del self._deleted[oldest[0]]

    def was_deleted(self, key_id: str, since: float) -> bool:
        """Was the key deleted at that time or later?"""
        at = self._deleted.get(key_id)
        return at is not None and at >= since
