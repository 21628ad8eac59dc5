"""Keys from variables: the process environment, and under it a `.env` file.

`<PROVIDER>_API_KEY`, `<PROVIDER>_API_KEY_<number>`, and a comma list of secrets in either. As with
python-dotenv a variable of the process wins over the file's; an empty one counts as unset, since
that is how compose files pass on what nobody set.

A key's id is `<provider>/` and its NAME attribute, else its variable's number, else `default`: so
that a rotation keeps it. The keys of a comma list have no name but their secrets' fingerprints
(`openai/k-1f2e3d4c`), so that taking one out of the list renames no other.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from stat import S_ISREG

from broker.adapters.env.assignment import ENVIRONMENT_LINE, WHOLE_FILE, Assignment, Fault
from broker.adapters.env.dotenv import read_dotenv
from broker.adapters.env.entry import Entry, KeyBuilder
from broker.adapters.env.variables import UnknownVariable, Variables
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceFault, SourceSnapshot

MAX_FILE_BYTES = 1024 * 1024
"""More than any `.env` file holds; a larger one is something else."""


class EnvKeySource:
    """System keys of `providers` from `environ` and `env_file`.

    A file that is not there is no fault unless it is `required`. One that is there and cannot be
    read is unavailable; a fault, and no more, if it never could be read and is not required.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        env_file: Path | None,
        providers: Collection[str],
        fingerprint_secret: bytes,
        *,
        required: bool = False,
    ) -> None:
        self._environ = environ
        self._file = env_file
        self._variables = Variables(providers)
        self._fingerprint_secret = fingerprint_secret
        self._required = required
        self._was_read = False

    @property
    def name(self) -> str:
        """The source's name in status and events."""
        return "environment"

    async def load(self) -> SourceSnapshot:
        """Read both anew, the file in a thread."""
        in_file, faults = await self._read_file()
        own = [
            Assignment(name, value, ENVIRONMENT_LINE)
            for name, value in self._environ.items()
            if value.strip()
        ]
        entries, more = self._entries(self._distinct(in_file, faults) + own)
        builder = KeyBuilder(self._fingerprint_secret)
        for entry in sorted(entries, key=Entry.order):
            builder.add(entry)
        faults = sorted([*faults, *more, *builder.faults], key=lambda fault: fault.line)
        return SourceSnapshot(
            tuple(builder.keys),
            tuple(SourceFault(self._place(fault.line), fault.message) for fault in faults),
        )

    def _distinct(self, assignments: Iterable[Assignment], faults: list[Fault]) -> list[Assignment]:
        """The file's assignments to providers' variables: the first of each name."""
        first: dict[str, Assignment] = {}
        for assignment in assignments:
            variable = self._variables.read(assignment.name)
            if variable is None:
                continue
            earlier = first.setdefault(assignment.name, assignment)
            if earlier is not assignment and not isinstance(variable, UnknownVariable):
                faults.append(
                    Fault(
                        assignment.line,
                        f"{assignment.name} is set on line {earlier.line} already, which stays",
                    )
                )
        return list(first.values())

    def _entries(self, assignments: Iterable[Assignment]) -> tuple[list[Entry], list[Fault]]:
        """What the variables say, by the variable of the secret; later assignments win."""
        entries: dict[str, Entry] = {}
        faults: list[Fault] = []
        for name, assignment in {a.name: a for a in assignments}.items():
            variable = self._variables.read(name)
            if isinstance(variable, UnknownVariable):
                faults.append(Fault(assignment.line, variable.message))
            elif variable is not None:
                entry = entries.setdefault(variable.secret_name, Entry(variable))
                entry.put(variable.attribute, assignment)
        return list(entries.values()), faults

    async def _read_file(self) -> tuple[list[Assignment], list[Fault]]:
        if self._file is None:
            return [], []
        try:
            data = await asyncio.to_thread(_read, self._file)
        except FileNotFoundError:
            if self._required:
                raise SourceUnavailableError(f"{self._file.name} is not there") from None
            return [], []
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            if self._required or self._was_read:
                raise SourceUnavailableError(f"{self._file.name} {message}") from None
            return [], [Fault(WHOLE_FILE, message)]
        self._was_read = True
        return read_dotenv(data)

    def _place(self, line: int) -> str:
        if line == ENVIRONMENT_LINE or self._file is None:
            return "environment"
        if line == WHOLE_FILE:
            return self._file.name
        return f"{self._file.name}:{line}"


def _read(path: Path) -> bytes:
    if not S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"it is larger than {MAX_FILE_BYTES} bytes")
    return data
