"""A database, and a process that gets killed over one."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from broker.adapters.sql import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "broker.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path, "here", busy_s=0.2, deadline_s=2.0)
    yield database
    await database.close()


@dataclass(frozen=True)
class Victim:
    """Has work done by a child of another process; see `victim.py`."""

    orders: IO[str]
    answers: IO[str]

    def does(
        self, work: str, path: Path, kill_at: int = 0, uid: int | None = None, lives_s: float = 0.0
    ) -> "Fate":
        order = {"work": work, "path": str(path), "kill_at": kill_at, "lives_s": lives_s}
        if uid is not None:
            order["uid"] = uid
        self.orders.write(json.dumps(order) + "\n")
        self.orders.flush()
        return Fate(**json.loads(self.answers.readline()))


@dataclass(frozen=True)
class Fate:
    """Was the child killed, and what had it been told is durable?"""

    killed: bool
    told: list[str]


@pytest.fixture(scope="session")
def victim() -> Iterator[Victim]:
    command = [sys.executable, "-m", "tests.integration.sql.victim"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdin
        assert process.stdout
        yield Victim(process.stdin, process.stdout)
        process.stdin.close()
