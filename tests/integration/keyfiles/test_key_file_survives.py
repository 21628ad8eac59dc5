"""Key files whose makers are killed at every step, or are many at once."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from broker.adapters.keyfiles import KeyFile, Purpose

KILLING = """
import os, signal, sys
from itertools import count
from pathlib import Path
from broker.adapters.keyfiles import KeyFile, Purpose

def is_system_call(called):
    return called.__module__ == "posix" or type(called.__self__).__module__ == "_io"

def dies_after(steps, file):
    def step(frame, event, called):
        nonlocal steps
        if event in ("c_call", "c_return") and is_system_call(called):
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(step)
    file.obtain()
    os._exit(0)

for steps in count():
    child = os.fork()
    if child == 0:
        dies_after(steps, KeyFile(Path(sys.argv[1]) / str(steps) / "seal.key", Purpose.SEAL))
    if os.waitpid(child, 0)[1] == 0:
        break
"""
"""Makes a file a folder: the n-th maker is killed before or after its n-th call of the system."""

RACING = """
import sys
from pathlib import Path
from broker.adapters.keyfiles import KeyFile, Purpose

file = KeyFile(Path(sys.argv[1]) / "seal.key", Purpose.SEAL)
print("ready", flush=True)
sys.stdin.readline()
print(file.obtain()[0].hex())
"""
RACERS = 6


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_maker_that_is_killed_leaves_no_file_or_a_whole_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLING, str(tmp_path)], check=True)
    found = []
    for folder in sorted(tmp_path.iterdir()):
        file = KeyFile(folder / "seal.key", Purpose.SEAL)
        left = file.read()
        found.append(left is not None)
        made = file.obtain()
        assert left in {None, made}
        assert names_in(folder) == ["seal.key"], "drafts of the killed are swept"
    assert len(found) > 20, "the makers were killed at every step"
    assert {True, False} == set(found), "some were killed before they were done and some after"


def test_all_who_make_a_file_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACING, str(tmp_path / "data")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(RACERS)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        keys = {racer.communicate()[0] for racer in racers}
    kept = KeyFile(tmp_path / "data" / "seal.key", Purpose.SEAL).read()
    assert kept is not None
    assert keys == {f"{kept[0].hex()}\n"}
    assert names_in(tmp_path / "data") == ["seal.key"]
