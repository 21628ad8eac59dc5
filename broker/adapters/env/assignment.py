"""What the environment and the file are made of: assignments with their lines."""

from typing import NamedTuple


class Assignment(NamedTuple):
    """`name=value` on a line of the file (from 1), or in the process environment."""

    name: str
    value: str
    line: int
