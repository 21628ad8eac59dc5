"""Where log lines go, when that place takes nothing."""

from contextlib import suppress
from typing import TextIO

_FAILURES = (OSError, ValueError)
"""What a stream raises that cannot be written, or was closed."""


class LossyStream:
    """A stream whose writes never fail: on a full disk the log is lost, and no call with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(*_FAILURES):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed; what cannot is tried again with the next line."""
        with suppress(*_FAILURES):
            self._stream.flush()
