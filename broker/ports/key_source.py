"""Where system keys come from."""

from dataclasses import dataclass
from typing import Protocol

from broker.core.key import Key


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Something wrong in a source, with its place (`.env:12`); never with a secret in it.

    `is_lasting` says that no edit mends it while the process runs: it was there before what is
    edited now.
    """

    place: str
    message: str
    is_lasting: bool = False


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """All keys of a source as of one reading, and what could not be used."""

    keys: tuple[Key, ...]
    faults: tuple[SourceFault, ...] = ()


class KeySource(Protocol):
    """One place that system keys are read from."""

    @property
    def name(self) -> str:
        """The source's name in status and events."""
        ...

    async def load(self) -> SourceSnapshot:
        """Read everything anew; a faulty entry is reported, not raised, and spoils no other.

        Key ids are stable over readings and rotations. Raises SourceUnavailableError.
        """
        ...
