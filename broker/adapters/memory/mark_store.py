"""Operators' marks for as long as the process lives."""

from broker.ports.mark_store import Mark, MarkKind


class MemoryMarkStore:
    """Marks in the order they were first set; never unavailable."""

    def __init__(self) -> None:
        self._marks: dict[tuple[MarkKind, str], Mark] = {}

    async def marks(self) -> tuple[Mark, ...]:
        """All marks."""
        return tuple(self._marks.values())

    async def put(self, mark: Mark) -> None:
        """Set a mark, replacing the subject's mark of the same kind."""
        self._marks[mark.kind, mark.subject] = mark

    async def remove(self, kind: MarkKind, subject: str) -> None:
        """Lift a mark, if it is set."""
        self._marks.pop((kind, subject), None)
