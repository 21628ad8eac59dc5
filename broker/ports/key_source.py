"""Where system keys come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """All keys of a source as of one reading, and what could not be used.

    `previous` are the secrets that some of the `keys` had before, as far as the source still knows
    them: at most one a key, with the key's id and settings. `versions` are its own names of what it
    gave, by key id, where it has such: operators find it there by them.
    """

    keys: tuple[Key, ...]
    faults: tuple[SourceFault, ...] = ()
    previous: tuple[Key, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


class KeySource(Protocol):
    """One place that system keys are read from."""

    @property
    def name(self) -> str:
        """The source's name in status and events."""
        ...

    @property
    def is_remote(self) -> bool:
        """Is reading it a call to a service, so that it is read now and then only?"""
        ...

    async def load(self) -> SourceSnapshot:
        """Read everything anew; a faulty entry is reported, not raised, and spoils no other.

        Key ids are stable over readings and rotations. Raises SourceUnavailableError.
        """
        ...
