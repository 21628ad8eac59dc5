"""`keybroker drill rotation` in short: real brokers on a real PostgreSQL, and what is promised."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"drill-[0-9a-f]{32}")

pytestmark = pytest.mark.timeout(180)  # of which most is the start of six processes, on a busy day


class Played(NamedTuple):
    """What a drill left behind."""

    code: int
    summary: dict[str, Any]
    told: str
    folder: Path

    def figures(self, story: str) -> dict[str, Any]:
        """A story's figures by their names."""
        [found] = [each for each in self.summary["stories"] if each["story"] == story]
        return {name: figure["value"] for name, figure in found["figures"].items()}

    def calls(self, story: str, group: str) -> dict[str, int]:
        """What the calls of a group came to."""
        [found] = [each for each in self.summary["stories"] if each["story"] == story]
        counts: dict[str, int] = found["calls"][group]
        return counts


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A drill in a folder of its own, with the environment of somebody who has real keys."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
        "HOME": os.environ.get("HOME", str(folder)),  # where matplotlib knows its fonts
        "OPENAI_API_KEY": "sk-zq-a-real-key-of-the-user",
        "AWS_ACCESS_KEY_ID": "AKIAZQAREALKEY",
        "KEYBROKER_DATABASE": "sqlite:////nowhere/at/all.db",
    }
    return subprocess.Popen(
        (sys.executable, "-m", "broker", "drill", "rotation", "--seconds", "1.5", *arguments),
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The short form, once."""
    folder = tmp_path_factory.mktemp("drill")
    process = start(folder, "--rate", "40", "--format", "json", "--keep")
    out, told = process.communicate(timeout=170)
    assert out, told
    return Played(process.returncode, json.loads(out), told, folder)


def test_every_promise_is_kept(played: Played) -> None:
    missed = [
        f"{story['story']}: {figure['label']}: {figure['value']}"
        for story in played.summary["stories"]
        for figure in story["figures"].values()
        if figure["kept"] is False
    ]
    assert missed == []
    assert played.code == 0, played.told
    assert [story["story"] for story in played.summary["stories"]] == ["a", "b", "c"]


def test_a_bogus_secret_costs_no_call_and_is_told_once(played: Played) -> None:
    figures = played.figures("a")
    assert figures["calls"] > 100
    assert figures["not_served"] == 0
    assert figures["leases_on_bogus"] == 0
    assert figures["rejections_told"] == 1


def test_restarts_on_a_bogus_secret_cost_no_call(played: Played) -> None:
    figures = played.figures("b")
    assert figures["restarted"] == 2
    assert figures["not_served"] == 0
    assert figures["leases_on_bogus"] == 0


def test_a_revoked_key_is_detected_at_the_first_failed_call_and_replaced_in_two_seconds(
    played: Played,
) -> None:
    figures = played.figures("c")
    assert figures["detected_at_call"] == 1
    assert figures["further_leases_replica-1"] == figures["further_leases_replica-2"] == 0
    assert figures["last_lease_s"] <= 1.0
    assert figures["recovery_s"] <= 2.0
    assert figures["failed_at_provider"] >= 1
    assert figures["denied"] > figures["failed_at_provider"]


def test_a_tenant_with_its_own_key_notices_nothing(played: Played) -> None:
    for story in "abc":
        calls = played.calls(story, "own key")
        assert calls["served"] == calls["asked"] > 10


def test_the_report_is_there_for_people_and_programs(played: Played) -> None:
    [report] = (played.folder / "drill-report").glob("*-rotation.md")
    shown = report.read_text()
    assert "| 86 s |" in shown
    assert "revision\\_rejected" in shown
    assert report.with_suffix(".svg").name in shown
    document = json.loads(report.with_suffix(".json").read_text())
    assert document == played.summary
    assert played.summary["environment"]["database"].startswith("PostgreSQL ")


def test_nothing_that_it_left_tells_a_secret_a_path_or_the_machines_name(played: Played) -> None:
    report = [path.read_text() for path in (played.folder / "drill-report").iterdir()]
    for text in (*report, played.told, json.dumps(played.summary)):
        assert SECRET.search(text) is None
        assert "AKIAZQ" not in text
    for text in report:
        assert str(played.folder) not in text
        assert "/tmp/" not in text  # noqa: S108 - looked for, not used
        assert socket.gethostname() not in text
    [kept] = played.folder.glob("keybroker-drill-*")
    assert str(kept) in played.told
    logs = [path for path in kept.iterdir() if path.suffix in {".log", ".jsonl"}]
    assert len(logs) > 5
    for path in logs:
        text = path.read_text(errors="replace")
        assert SECRET.search(text) is None, path
        assert "Traceback" not in text, path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_nothing_behind_when_it_is_interrupted(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("== Healthy"):
            break
    started = set(descendants(process.pid))
    assert len(started) >= 5  # two brokers, a database, Secrets Manager, the provider
    process.send_signal(number)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert not out
    assert "Traceback" not in told
    ends = time.monotonic() + 5.0
    while (left := {pid for pid in started if is_running(pid)}) and time.monotonic() < ends:
        time.sleep(0.05)  # PostgreSQL's own processes end after their parent
    assert not left
    assert [path.name for path in tmp_path.iterdir()] == ["drill-report"]


def descendants(parent: int) -> Iterator[int]:
    """The processes that a process started, and those that they did."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, which may hold anything, stands in parentheses before.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                pid = int(stat.parent.name)
                yield pid
                yield from descendants(pid)


def is_running(pid: int) -> bool:
    """Is there such a process, and is it more than what its parent has not yet looked at?"""
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False
