"""What other brokers on the same database changed, so that what is held of it is read anew."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Subject(StrEnum):
    """What a change is about."""

    TENANT = "tenant"
    MARKS = "marks"
    AGREEMENTS = "agreements"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that is kept has changed; of a TENANT, `name` says which.

    EVERYTHING means that changes may have been missed: whatever is held is read anew when it is
    next used.
    """

    subject: Subject
    name: str = ""


Deliver = Callable[[Changed], None]
"""Called in the event loop; must not block or raise."""


class ChangeFeed(Protocol):
    """Tells of changes that this broker did not make itself; it may also tell of its own."""

    @property
    def is_current(self) -> bool:
        """Has everything been delivered that was changed until about a second ago?

        False before `follow`, and while the store does not answer. Does not block.
        """
        ...

    async def follow(self, deliver: Deliver) -> None:
        """Deliver changes made from now on, within a second, until `close`; called once.

        While the store does not answer none come, and when it does again EVERYTHING comes first.
        Raises StoreUnavailableError where it cannot begin.
        """
        ...

    async def close(self) -> None:
        """Deliver nothing more."""
        ...
