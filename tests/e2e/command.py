"""The command as a process, as scripts and people run it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "broker")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


def environment(**given: str) -> dict[str, str]:
    """Nothing but what is given, by the names of settings, and what a process needs."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    return bare | {f"KEYBROKER_{name}": value for name, value in given.items()}


async def keybroker(
    *arguments: str, cwd: Path, stdin: str = "", env: dict[str, str] | None = None
) -> Done:
    """Run it to its end."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=env or environment(),
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30.0)
    assert b"Traceback" not in err
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())
