"""What an import is made of, and what it answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from broker.core.key import KeySettings
from broker.ports.key_store import StoredRevision
from broker.services.errors import InvalidFieldError
from broker.services.keeping import NewKey


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key as it was exported, checked for form; revisions are the newest first."""

    tenant: str
    provider: str
    key_id: str
    settings: KeySettings
    revisions: tuple[StoredRevision, ...]


Wanted: TypeAlias = NewKey | SealedKey


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One key to import, or why it is none; a `number` of 0 stands for its place."""

    number: int
    wanted: Wanted | InvalidFieldError


@dataclass(frozen=True, slots=True)
class ImportPart:
    """Some lines of an import, read as they are taken; `size` is theirs in bytes."""

    lines: Iterable[ImportLine]
    size: int
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong on a line, for a person; never with a secret."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; `faults` are those that were not told before."""

    checked: int
    faults: tuple[LineFault, ...] = ()
    untold: int = 0
    is_done: bool = False
    created: int = 0
