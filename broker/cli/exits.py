"""How the command exits: each code, its meaning, and the lines that `--help` shows of them."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """An exit code; scripts may rely on every one of them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    FORBIDDEN = 5
    UNREACHABLE = 6
    STORE = 7
    CANNOT_START = 8
    REJECTED = 9
    UNPROVED = 10
    MISSED = 11
    NO_COMMAND = 127
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS: Final = {
    Exit.OK: "Done.",
    Exit.FAILED: "Failed in a way that no other code tells; the message says why.",
    Exit.USAGE: "The arguments, the input or the settings are wrong.",
    Exit.REFUSED: "Refused: a lease is denied, or a key's state forbids it.",
    Exit.NOT_FOUND: "There is no such key, provider or dialect.",
    Exit.FORBIDDEN: "The token is missing, rejected, or may not do this.",
    Exit.UNREACHABLE: "No broker answered, or not in time.",
    Exit.STORE: "The broker's database takes nothing, or is sealed.",
    Exit.CANNOT_START: "The server's database or sealing key is unusable.",
    Exit.REJECTED: "A provider rejects keys that have to work.",
    Exit.UNPROVED: "No key is rejected, and none is proved to work.",
    Exit.MISSED: "A drill was played, and something that is promised was missed.",
    Exit.NO_COMMAND: "No command was named: the help was shown.",
    Exit.INTERRUPTED: "Interrupted by Ctrl-C.",
    Exit.PIPE_CLOSED: "Whoever read the output went away.",
}

AT_A_BROKER: Final = (Exit.USAGE, Exit.FORBIDDEN, Exit.UNREACHABLE)
"""What every command that calls a broker can exit with."""


def exit_lines(codes: Iterable[Exit]) -> list[str]:
    """Each code with its meaning, in the order of the numbers."""
    return [f"{code:>3}  {MEANINGS[code]}" for code in sorted({Exit.OK, *codes})]


class CommandError(Exception):
    """What ends a command: one sentence that says what to do next, and the exit code."""

    def __init__(self, code: Exit, message: str) -> None:
        """Keep both; the message may hold what came from a broker, but never a secret."""
        super().__init__(message)
        self.code = code
        self.message = message
