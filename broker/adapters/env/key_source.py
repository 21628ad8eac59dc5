"""Keys from variables: the process environment, and under it a `.env` file.

`<PROVIDER>_API_KEY`, `<PROVIDER>_API_KEY_<number>`, and a comma list of secrets in either. As with
python-dotenv a variable of the process wins over the file's; an empty one counts as unset, since
that is how compose files pass on what nobody set.

A key's id is `<provider>/` and its NAME attribute, else its variable's number, else `default`: so
that a rotation keeps it. The keys of a comma list have no name but their secrets' fingerprints
(`openai/k-1f2e3d4c`), so that taking one out of the list renames no other.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from broker.adapters.env.assignment import Assignment
from broker.adapters.env.dotenv import read_dotenv
from broker.adapters.env.entry import Entry
from broker.adapters.env.variables import UnknownVariable, Variable, Variables
from broker.adapters.sources.building import KeyBuilder
from broker.adapters.sources.fault import ENVIRONMENT_LINE, WHOLE_FILE, Fault, placed
from broker.adapters.sources.steady import Sight, Steady
from broker.adapters.sources.watched_file import WatchedFile
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot

PAUSE_S = 0.1
"""Between two looks that must agree."""


class EnvKeySource:
    """System keys of `providers` from `environ` and `env_file`.

    A file that is not there is no fault unless it is `required`, or had keys before. One that is
    there and cannot be read is unavailable; a fault, and no more, if it never could be read and is
    not required.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        env_file: Path | None,
        providers: Collection[str],
        fingerprint_secret: bytes,
        *,
        required: bool = False,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._environ = environ
        self._file_name = env_file.name if env_file else ""
        self._file = WatchedFile(env_file) if env_file else None
        self._variables = Variables(providers)
        self._fingerprint_secret = fingerprint_secret
        self._required = required
        self._was_read = self._had_keys = False
        self._seen: tuple[bytes | Fault, list[Assignment]] | None = None
        self._sight = Sight(SourceSnapshot(()))
        self._steady = Steady(self._look, pause_s)

    @property
    def name(self) -> str:
        """The source's name in status and events."""
        return "environment"

    @property
    def is_remote(self) -> bool:
        """A file that lies here may be read every second."""
        return False

    async def load(self) -> SourceSnapshot:
        """Read both anew; the same snapshot again where nothing changed."""
        return await self._steady.load()

    def _look(self) -> Sight:
        seen = self._read_file(), self._own()
        if seen != self._seen:
            self._sight = self._parsed(*seen)
            self._seen = seen
        return self._sight

    def _parsed(self, data: bytes | Fault, own: list[Assignment]) -> Sight:
        assignments, faults = ([], [data]) if isinstance(data, Fault) else read_dotenv(data)
        in_file = self._distinct(assignments, faults)
        entries, more = self._entries(in_file + own)
        builder = KeyBuilder(self._fingerprint_secret)
        for entry in sorted(entries, key=Entry.order):
            entry.build(builder)
        faults += more + builder.faults
        faults += self._emptied(in_file)
        snapshot = SourceSnapshot(tuple(builder.keys), placed(faults, self._file_name))
        return Sight(snapshot, isinstance(data, bytes) and not data.endswith(b"\n"))

    def _emptied(self, in_file: list[Assignment]) -> list[Fault]:
        """A file that had keys and has none is more likely a mishap than a wish."""
        if any(self._is_secret(assignment) for assignment in in_file):
            self._had_keys = True
        elif self._had_keys:
            message = "has no keys any more: what it had stays in use until it has some again"
            return [Fault(WHOLE_FILE, f"{message}, or the broker is restarted")]
        return []

    def _is_secret(self, assignment: Assignment) -> bool:
        variable = self._variables.read(assignment.name)
        is_secret = isinstance(variable, Variable) and not variable.attribute
        return is_secret and bool(assignment.value.strip())

    def _own(self) -> list[Assignment]:
        """What the process environment says of providers; what is empty counts as unset."""
        return [
            Assignment(name, value, ENVIRONMENT_LINE)
            for name, value in self._environ.items()
            if value.strip() and self._variables.read(name) is not None
        ]

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

    def _read_file(self) -> bytes | Fault:
        if self._file is None:
            return b""
        try:
            data = self._file.read()
        except FileNotFoundError:
            if not (self._required or self._had_keys):
                return b""
            message = f"{self._file_name} is not there: put it back; what was read stays in use"
            raise SourceUnavailableError(message) from None
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            if self._required or self._was_read:
                message = f"{self._file_name} {message}; what was read before stays in use"
                raise SourceUnavailableError(message) from None
            return Fault(WHOLE_FILE, message)
        self._was_read = True
        return data
