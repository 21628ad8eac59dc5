"""`keybroker` at a terminal and away from one: prompts, colours, signals and pipes."""

import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2
from tests.e2e.command import PROGRAM, environment
from tests.unit.cli.samples import SECRET, a_key, a_status
from tests.unit.cli.scripted import Scripted, served

ESCAPE = b"\x1b["


class Terminal:
    """A command with a terminal for all of its streams, or for standard error only."""

    def __init__(self, *arguments: str, env: dict[str, str], cwd: Path, out: int | None) -> None:
        self.master, slave = pty.openpty()
        self._slave = slave
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=slave,
            stdout=slave if out is None else out,
            stderr=slave,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.shown = b""

    def read_until(self, text: bytes, within_s: float = 15.0) -> None:
        """Read what is shown until some text is."""
        ends = time.monotonic() + within_s
        while text not in self.shown:
            left = ends - time.monotonic()
            assert left > 0, self.shown
            if select.select([self.master], [], [], left)[0]:
                self.shown += os.read(self.master, 65536)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self.master, f"{text}\n".encode())

    def end(self) -> int:
        """Wait for the end, and read what is left."""
        code = self.process.wait(15.0)
        while select.select([self.master], [], [], 0)[0]:
            self.shown += os.read(self.master, 65536)
        return code

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)


Open = Callable[..., Terminal]


@pytest.fixture
def broker() -> Iterator[Scripted]:
    for scripted in served():
        scripted.on("GetStatus", a_status())
        scripted.on("ListEvents", admin_pb2.ListEventsResponse())
        keys = [a_key(f"openai/{number}") for number in range(3000)]
        scripted.on("ListKeys", admin_pb2.ListKeysResponse(keys=keys))
        scripted.on("RotateKey", admin_pb2.RotateKeyResponse(key=a_key("acme-1")))
        scripted.on("DeleteKey", admin_pb2.DeleteKeyResponse())
        probes = [admin_pb2.ProbeKeysResponse(key_id="k", done_count=1, total_count=2)]
        scripted.on("ProbeKeys", list(probes))
        yield scripted


@pytest.fixture
def env(broker: Scripted) -> dict[str, str]:
    return environment(ADDRESS=f"127.0.0.1:{broker.port}")


@pytest.fixture
def terminal(env: dict[str, str], tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*arguments: str, out: int | None = None, **more: str) -> Terminal:
        opened.append(Terminal(*arguments, env=env | more, cwd=tmp_path, out=out))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_a_terminal_gets_colours_unless_it_wants_none(terminal: Open) -> None:
    """NO_COLOR means no escapes at all, neither bold ones."""
    coloured = terminal("status")
    assert coloured.end() == Exit.OK
    assert ESCAPE in coloured.shown
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        plain = terminal("status", **{name: value})
        assert plain.end() == Exit.OK
        assert ESCAPE not in plain.shown
        assert plain.shown.isascii() or "–".encode() in plain.shown


def test_a_secret_is_prompted_for_and_not_shown(terminal: Open, broker: Scripted) -> None:
    prompted = terminal("keys", "rotate", "acme-1")
    prompted.read_until(b"not shown")
    while termios.tcgetattr(prompted.master)[3] & termios.ECHO:
        time.sleep(0.01)
    prompted.type(SECRET)
    assert prompted.end() == Exit.OK
    assert SECRET.encode() not in prompted.shown
    assert broker.requests("RotateKey")[0].secret.plaintext == SECRET


def test_ctrl_d_and_ctrl_c_at_the_prompt_send_nothing(terminal: Open, broker: Scripted) -> None:
    ended = terminal("keys", "rotate", "acme-1")
    ended.read_until(b"not shown")
    os.write(ended.master, b"\x04")
    assert ended.end() == Exit.USAGE
    stopped = terminal("keys", "rotate", "acme-1")
    stopped.read_until(b"not shown")
    stopped.process.send_signal(signal.SIGINT)
    assert stopped.end() == Exit.INTERRUPTED
    assert b"Traceback" not in ended.shown + stopped.shown
    assert not broker.asked


def test_a_key_is_deleted_after_a_yes_only(terminal: Open, broker: Scripted) -> None:
    refused = terminal("keys", "delete", "acme-1")
    refused.read_until(b"for good?")
    refused.type("n")
    assert refused.end() == Exit.FAILED
    assert not broker.asked
    agreed = terminal("keys", "delete", "acme-1")
    agreed.read_until(b"for good?")
    agreed.type("y")
    assert agreed.end() == Exit.OK
    assert broker.requests("DeleteKey")


def test_ctrl_c_ends_what_goes_on_without_a_traceback(terminal: Open, broker: Scripted) -> None:
    following = terminal("events", "--follow")
    while not broker.requests("ListEvents"):
        time.sleep(0.01)
    following.process.send_signal(signal.SIGINT)
    assert following.end() == Exit.INTERRUPTED
    assert b"Traceback" not in following.shown


def test_progress_is_shown_at_a_terminal_and_never_on_standard_output(terminal: Open) -> None:
    reading, writing = os.pipe()
    probing = terminal("keys", "probe", out=writing)
    os.close(writing)
    assert probing.end() == Exit.UNPROVED
    with os.fdopen(reading, "rb") as output:
        answer = output.read()
    assert b"Probing" in probing.shown
    assert b"Probing" not in answer
    assert ESCAPE not in answer


def test_a_reader_that_goes_away_is_met_with_silence(env: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "keys", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(15.0) == Exit.PIPE_CLOSED


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("config print >/dev/full", Exit.FAILED, b"No space left on device"),
        ("config print >&-", Exit.OK, b""),
        ("status --address https://127.0.0.1:{port}", Exit.UNREACHABLE, b"does not speak TLS"),
        ("config print | head -n 1", Exit.OK, b""),
    ],
)
def test_streams_that_fail_are_told_in_one_line(
    env: dict[str, str], broker: Scripted, tmp_path: Path, command: str, code: Exit, said: bytes
) -> None:
    """Nor does gRPC log between the sentences."""
    shell = f"{' '.join(PROGRAM)} {command.format(port=broker.port)}"
    done = subprocess.run(
        ["/bin/sh", "-c", shell],
        env=env | {"PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == bool(said)


def test_standard_input_that_is_closed_is_told(env: dict[str, str], tmp_path: Path) -> None:
    command = " ".join([*PROGRAM, "keys", "rotate", "acme-1", "<&-"])
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=env, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == Exit.USAGE
    assert b"standard input is closed" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_gets_a_script(env: dict[str, str], tmp_path: Path, shell: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "completion", shell], env=env, cwd=tmp_path, capture_output=True, check=True
    )
    assert b"_KEYBROKER_COMPLETE" in done.stdout
    assert done.stderr == b""


def test_bash_completes_commands_and_options(env: dict[str, str], tmp_path: Path) -> None:
    """As bash does it: by the function that the script defines."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = f"""
        keybroker() {{ {" ".join(PROGRAM)} "$@"; }}
        mkdir bin; printf '#!/bin/sh\\nexec {" ".join(PROGRAM)} "$@"\\n' > bin/keybroker
        chmod +x bin/keybroker; PATH="$PWD/bin:$PATH"; unset -f keybroker
        source <(keybroker completion bash)
        try() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _keybroker_completion keybroker; echo "${{COMPREPLY[*]}}"
        }}
        try keybroker sta
        try keybroker --form
        try keybroker keys rot
        try keybroker tenants policy set --fall
    """
    done = subprocess.run(
        [bash, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["status", "--format", "rotate", "--fall-through"]
