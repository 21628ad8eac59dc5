"""What is wrong in a source, and where."""

from collections.abc import Iterable
from typing import NamedTuple

from broker.ports.key_source import SourceFault

ENVIRONMENT_LINE = 0
"""The line of what is set in the process environment, and so in no file."""

WHOLE_FILE = -1
"""The line of a fault of the file as a whole."""


class Fault(NamedTuple):
    """What is wrong on a line; never a value, since that could be a secret."""

    line: int
    message: str


def placed(faults: Iterable[Fault], file_name: str) -> tuple[SourceFault, ...]:
    """The faults with their places, in the order of lines."""
    ordered = sorted(faults, key=lambda fault: fault.line)
    return tuple(
        SourceFault(
            _place(fault.line, file_name), fault.message, is_lasting=fault.line == ENVIRONMENT_LINE
        )
        for fault in ordered
    )


def _place(line: int, file_name: str) -> str:
    if line == ENVIRONMENT_LINE:
        return "environment"
    return file_name if line == WHOLE_FILE else f"{file_name}:{line}"
