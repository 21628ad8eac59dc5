"""What the environment and the file are made of: assignments, and faults with their lines."""

from typing import NamedTuple

ENVIRONMENT_LINE = 0
"""The line of what is set in the process environment, and so in no file."""

WHOLE_FILE = -1
"""The line of a fault of the file as a whole."""


class Assignment(NamedTuple):
    """`name=value` on a line of the file (from 1), or in the process environment."""

    name: str
    value: str
    line: int


class Fault(NamedTuple):
    """What is wrong on a line; never a value, since that could be a secret."""

    line: int
    message: str
