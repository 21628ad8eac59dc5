"""Processes that a command starts beside itself, and ends before it ends."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from broker.cli.exits import CommandError, Exit

START_S: Final = 60.0
STOP_S: Final = 10.0

_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "SYSTEMROOT")
"""What the processes inherit: no key and no setting of whoever runs the command."""


class Child:
    """A Python module that runs as a process; it may be started again once it was stopped.

    `last` is how the line begins with which it says that it serves. What it logs is appended to
    a file of its name in `folder`, where it also runs.
    """

    def __init__(
        self, folder: Path, name: str, module: str, arguments: Sequence[str] = (), *, last: str
    ) -> None:
        self.name = name
        self.log = folder / f"{name.replace(' ', '-')}.log"
        self._folder = folder
        self._command = (sys.executable, "-m", module, *arguments)
        self._last = last
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Run it with these variables, until it serves; the lines that it said, by first word.

        Raises CommandError when it does not come to serve.
        """
        process = await self._run(settings)
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        told: dict[str, str] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                while line := (await process.stdout.readline()).decode().strip():
                    first, _, rest = line.partition(" ")
                    told[first] = rest
                    if line.startswith(self._last):
                        return told
        raise self._failed()

    async def stop(self) -> None:
        """End it, at last by force; nothing where it does not run."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _run(self, settings: Mapping[str, str]) -> asyncio.subprocess.Process:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with self.log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=self._folder,
                env={**kept, **settings},
                start_new_session=True,  # Ctrl-C is for the command, which ends the others in order
            )
        return self._process

    def _failed(self) -> CommandError:
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        why = " ".join(last) or "it said nothing"
        return CommandError(Exit.FAILED, f"the {self.name} did not start: {why}")
