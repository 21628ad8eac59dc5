"""Keys of a `.env` file, by the variables that the broker itself reads system keys from.

The id of a key is its NAME attribute; without one the broker makes it.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO, Final

from broker.adapters.env.assignment import Assignment
from broker.adapters.env.dotenv import read_dotenv
from broker.adapters.env.entry import Entry
from broker.adapters.env.variables import UnknownVariable, Variables
from broker.adapters.sources.building import Declared, KeyBuilder
from broker.adapters.sources.fault import Fault
from broker.cli.transfer.csv_rows import Found
from keybroker.v1 import admin_pb2, key_pb2

MAX_BYTES: Final = 16 * 1024 * 1024
"""Such a file is written by hand."""


class _Declarations(KeyBuilder):
    """Keeps what is declared: whether it can be a key, the broker says."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.declared: list[Declared] = []

    def add(self, declared: Declared) -> None:
        """Keep it, unless an attribute of it was wrong, which was told."""
        if declared.attributes is not None:
            self.declared.append(declared)


def read_env(file: BinaryIO, providers: Collection[str]) -> Iterator[Found]:
    """The keys by line, and the lines that are none.

    `providers` are names that may not be guessed from those of variables. Raises OSError.
    """
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        yield Fault(1, f"the file is larger than {MAX_BYTES >> 20} MiB: is it a .env file?")
        return
    assignments, faults = read_dotenv(data)
    entries, more = _entries(assignments, providers)
    found = _Declarations()
    for entry in entries:
        entry.build(found)
    wrong: list[Found] = [*faults, *more, *found.faults]
    yield from sorted((*wrong, *map(_key, found.declared)), key=_line_of)


def _entries(
    assignments: Iterable[Assignment], providers: Collection[str]
) -> tuple[Iterable[Entry], list[Fault]]:
    """What the variables say, by the variable of the secret."""
    names = {a.name.partition("_API_KEY")[0] for a in assignments if "_API_KEY" in a.name}
    named = Variables(providers)
    guessed = {n.lower().replace("_", "-") for n in names if named.read(f"{n}_API_KEY") is None}
    variables = Variables({*providers, *guessed} - {""})
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    faults: list[Fault] = []
    for assignment in assignments:
        variable = variables.read(assignment.name)
        if variable is None:
            continue
        if isinstance(variable, UnknownVariable):
            faults.append(Fault(assignment.line, variable.message))
        elif assignment.name in lines:
            first = lines[assignment.name]
            faults.append(Fault(assignment.line, f"{assignment.name} is set on line {first} too"))
        else:
            lines[assignment.name] = assignment.line
            entry = entries.setdefault(variable.secret_name, Entry(variable))
            entry.put(variable.attribute, assignment)
    return entries.values(), faults


def _key(declared: Declared) -> admin_pb2.ImportedKey:
    attributes = declared.attributes
    if attributes is None:
        raise AssertionError
    settings = key_pb2.KeySettings(
        weight=attributes.weight,
        priority=attributes.priority,
        models=attributes.models,
        limits=key_pb2.KeyLimits(
            concurrency=attributes.concurrency,
            requests_per_minute=attributes.requests_per_minute,
            tokens_per_minute=attributes.tokens_per_minute,
        ),
        account=attributes.account,
        base_url=attributes.base_url,
    )
    if attributes.expires_at is not None:
        settings.expire_time.FromDatetime(attributes.expires_at)
    return admin_pb2.ImportedKey(
        line=declared.line,
        provider=declared.provider,
        key_id=attributes.name,
        secret=key_pb2.SecretValue(plaintext=declared.text),
        settings=settings,
    )


def _line_of(found: Found) -> int:
    return found.line
