"""The record of a drill: everything that was done, seen and told, one JSON object a line.

The report is computed from nothing else. Instants are seconds since the record began, by one
monotonic clock; what the brokers date is moved onto it. No entry holds a secret.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TextIO, TypeAlias

OWN_KEY: Final = "own key"
SYSTEM: Final = "system keys"
UNTENANTED: Final = "untenanted"
GROUPS: Final = (OWN_KEY, SYSTEM, UNTENANTED)
"""Who calls: a tenant with its own key, one on system keys, and callers without a tenant."""


class Result(StrEnum):
    """What a call came to, as its caller saw it.

    `failed`: the provider refused it. `denied`: the broker had no key. `broken`: anything else.
    """

    SERVED = "served"
    DENIED = "denied"
    FAILED = "failed"
    BROKEN = "broken"


class What(StrEnum):
    """What was done to the fleet, the provider or the keys."""

    STORY = "story"
    PUT = "put"
    REVOKE = "revoke"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Try:
    """One lease of a call: `asked` of a replica, got `at`, the provider's answer came `until`.

    `status` is None where the provider gave none.
    """

    replica: str
    revision: str
    provenance: str
    asked: float
    at: float
    until: float
    status: int | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call, asked for `at` and over, with its report, `until`.

    `reason` says how it failed, `denial` why there was no key, or no further one, for it.
    """

    at: float
    until: float
    group: str
    result: Result
    reason: str = ""
    denial: str = ""
    tries: tuple[Try, ...] = ()


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that the drill did, from `at` `until` it was done.

    `secret` is the role of the secret that was put or revoked, `revision` the broker's name of it.
    """

    at: float
    until: float
    what: What
    story: str
    secret: str = ""
    revision: str = ""
    replica: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """How a replica showed the key, from `at` on; without revisions: it did not answer."""

    at: float
    replica: str
    state: str = ""
    stages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """An event that the brokers told of."""

    at: float
    event_id: str
    kind: str
    message: str
    provider: str = ""
    key_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def revision(self) -> str:
        """The revision that it is about, if it is about one."""
        return self.attributes.get("revision", "")


@dataclass(frozen=True, slots=True)
class Setup:
    """What was drilled: the options, the replicas, and what they ran on."""

    at: float
    began: str
    options: Mapping[str, Any]
    replicas: tuple[str, ...]
    key_id: str
    environment: Mapping[str, str]


Entry: TypeAlias = Setup | Call | Deed | View | Told

_KINDS: Final[Mapping[str, type[Entry]]] = {
    kind.__name__.lower(): kind for kind in (Setup, Call, Deed, View, Told)
}


class Recorder:
    """Writes entries as they come; every instant of them is of `now`."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._zero = time.monotonic()

    def now(self) -> float:
        """Seconds since the record began."""
        return time.monotonic() - self._zero

    def write(self, entry: Entry) -> None:
        """Add an entry."""
        line = {"entry": type(entry).__name__.lower(), **asdict(entry)}
        self._file.write(json.dumps(line) + "\n")


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is read: each kind of entry in the order of its instants."""

    setup: Setup
    calls: tuple[Call, ...] = ()
    deeds: tuple[Deed, ...] = ()
    views: tuple[View, ...] = ()
    told: tuple[Told, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """The record with these entries, in whatever order they come; raises ValueError."""
        found: dict[type[Entry], list[Any]] = {kind: [] for kind in _KINDS.values()}
        for entry in sorted(entries, key=lambda entry: entry.at):
            found[type(entry)].append(entry)
        if len(found[Setup]) != 1:
            raise ValueError("a record has one setup")
        return cls(
            found[Setup][0],
            tuple(found[Call]),
            tuple(found[Deed]),
            tuple(found[View]),
            tuple({told.event_id: told for told in found[Told]}.values()),
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a file; raises ValueError for what is none."""
        with path.open() as file:
            return cls.of(_entries(file))


def _entries(lines: Iterable[str]) -> Iterator[Entry]:
    for line in lines:
        given = json.loads(line)
        kind = _KINDS[given.pop("entry")]
        if kind is Call:
            tries = tuple(Try(**each) for each in given.pop("tries"))
            given |= {"result": Result(given["result"]), "tries": tries}
        elif kind is Deed:
            given["what"] = What(given["what"])
        elif kind is Setup:
            given["replicas"] = tuple(given["replicas"])
        yield kind(**given)
