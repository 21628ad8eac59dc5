"""`keybroker demo`: the whole story over real processes, and what it promises to show."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """The demo in a folder of its own, with the environment of somebody who has real keys."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "OPENAI_API_KEY": "sk-zq-a-real-key-of-the-user",
        "KEYBROKER_DATABASE": "sqlite:////nowhere/at/all.db",
    }
    return subprocess.Popen(
        (sys.executable, "-m", "broker", "demo", *arguments),
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The summary of one run, and what it told on the way."""
    process = start(tmp_path_factory.mktemp("demo"), "--pause", "0.5", "--format", "json")
    out, told = process.communicate(timeout=55)
    assert process.returncode == 0, told
    return json.loads(out), told


def test_no_caller_sees_a_failure_and_nobody_gets_a_key_of_others(
    played: tuple[dict[str, Any], str],
) -> None:
    summary, _ = played
    assert summary["requests"] > 100
    assert summary["failed"] == 0
    assert summary["served_with_a_key_of_others"] == 0
    assert summary["groups"]["own key"]["denied"] == 0
    assert summary["groups"]["system keys"]["saved"] > 0
    assert summary["groups"]["untenanted"]["denied"] > 0


def test_a_bogus_secret_costs_no_call_and_recovery_takes_two_seconds(
    played: tuple[dict[str, Any], str],
) -> None:
    summary, _ = played
    assert summary["calls_on_rejected_keys"]["bogus"] == 0
    assert summary["calls_on_rejected_keys"]["recovery"] == 0
    assert summary["seconds"]["all_leasable"] + summary["seconds"]["recover"] < 3.0


def test_it_tells_the_story(played: tuple[dict[str, Any], str]) -> None:
    _, told = played
    for kind in ("emergency_began", "revision_rejected", "revision_adopted", "emergency_ended"):
        assert kind in told
    assert "demo-" not in told.replace("keybroker-demo-", ""), "a secret was shown"
    assert "\x1b" not in told


def test_it_leaves_nothing_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("== Healthy"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert not out
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())
