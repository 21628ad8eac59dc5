"""A PostgreSQL of its own on loopback: `python -m simulator.postgres` runs one until SIGTERM.

It lives in a temporary folder, asks for a password that nobody else knows, and goes with the
process that started it, however that ends. What it keeps is not safe from the machine's crash.
"""

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from simulator.postgres_binaries import (
    ENVIRONMENT,
    Account,
    NoPostgresError,
    find_binaries,
    made_runnable,
)

USER: Final = "keybroker"

_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_START_S: Final = 60.0
_ATTEMPTS: Final = 5
_STEP_S: Final = 0.01
_READY: Final = "ready"
_PASSING: Final = ("could not bind", "still in use")

_JANITOR: Final = """
while read -r _; do :; done
is_ours() {
  [ -n "$pid" ] && kill -s 0 "$pid" || return 1
  [ ! -e /proc/self ] || [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]
}
pid=$(head -n 1 "$1/data/postmaster.pid")
is_ours "$1" && kill -s QUIT "$pid" && kill -s CONT "$pid"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  is_ours "$1" || break
  sleep 0.1
done
is_ours "$1" && kill -s KILL "$pid"
rm -rf "$1"
"""
"""It waits until nobody can write to it any more: then whoever started the server has ended, or has
ended the server. The number of a process may have become another's by then."""


class PostgresError(Exception):
    """The server does not start; the message says what it told last."""


class Postgres:
    """One server; the methods block, and are called by one thread at a time."""

    def __init__(self, binaries: Path | None = None, *, port: int = 0, **settings: str) -> None:
        """Make it and start it, on any free port or this one, with settings of the server.

        Raises PostgresError, NoPostgresError and OSError.
        """
        self._account = Account.of_server()
        self._folder = self._account.new_folder()
        self._janitor = _begin_janitor(self._folder)
        self._settings = _SETTINGS | settings
        self._is_port_given = port != 0
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        try:
            wanted = (binaries or find_binaries()).absolute()
            self._binaries = made_runnable(wanted, self._account, self._folder / "server")
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _v: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.close()

    def url(self, database: str = "postgres") -> str:
        """Where a database is, with the password of the server's superuser."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The first process of the server; 0 while it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it, again on the port that it had; it takes calls on return."""
        told = ""
        for attempt in range(_ATTEMPTS):
            if not self.port or (attempt and not self._is_port_given):
                self.port = _free_port()
            told = self._start_once()
            if not told:
                self._is_port_given = True
                return
            if not any(passing in told for passing in _PASSING):
                break
            time.sleep(0.1)
        raise PostgresError(f"PostgreSQL does not start: {told.strip()[-500:]}")

    def stop(self) -> None:
        """Shut it down as a restart does: connections are ended, what was committed is kept."""
        self._end(signal.SIGINT)

    def restart(self) -> None:
        """Shut it down, and start it again."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End all its processes at once, as if the machine had lost its power."""
        self.freeze()
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop all its processes where they are: the system still takes connections for it."""
        if self.pid:
            os.kill(self.pid, signal.SIGSTOP)  # first: it starts no others then
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, and remove what it kept."""
        self.thaw()
        self._end(signal.SIGQUIT)
        if self._janitor.stdin:
            self._janitor.stdin.close()
        self._janitor.wait()

    def _make(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        self._account.give(password)
        made = self._account.run(
            [
                self._binaries / "initdb",
                f"--pgdata={self._folder / 'data'}",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            self._folder,
        )
        password.unlink()
        if made.returncode:
            told = (made.stderr or made.stdout).decode(errors="replace").strip()
            raise PostgresError(f"PostgreSQL's data cannot be made: {told[-500:]}")

    def _start_once(self) -> str:
        """Start it and wait until it takes calls; what it told where it does not, else ""."""
        log = self._folder / "log"
        settings = self._settings | {"port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), *options]
        with log.open("wb") as output:
            process = self._account.popen(command, self._folder, output)
        self._process = process
        ends = time.monotonic() + _START_S
        while time.monotonic() < ends:
            if process.poll() is not None:
                self._process = None
                return log.read_text(errors="replace") or f"exit code {process.returncode}"
            if self._status() == (str(process.pid), _READY):
                return ""
            time.sleep(_STEP_S)
        self._end(signal.SIGQUIT)
        raise PostgresError(f"PostgreSQL does not start within {_START_S:g} s")

    def _status(self) -> tuple[str, str]:
        """The process and the state that its own file tells."""
        with suppress(OSError):
            lines = (self._folder / "data" / "postmaster.pid").read_text().splitlines()
            if len(lines) >= 8:
                return lines[0].strip(), lines[7].strip()
        return "", ""

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        if not self.pid:
            return
        for pid in (*_children(self.pid), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _children(parent: int) -> list[int]:
    """The processes that a process started, as far as the system tells."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, which may hold anything, stands in parentheses before.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _begin_janitor(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - its argument is a folder that we made
        ["/bin/sh", "-c", _JANITOR, "janitor", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it
        cwd="/",
        env=ENVIRONMENT,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a server until told to stop, or left by whoever started this; its URL is one line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.postgres",
        description="A PostgreSQL of its own on loopback; it prints its URL.",
    )
    parser.add_argument("--port", type=int, default=0, help="port; 0, the default, is any free one")
    parser.add_argument("--binaries", type=Path, help="folder with initdb and postgres")
    arguments = parser.parse_args(argv)
    parent, stopped = os.getppid(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with Postgres(arguments.binaries, port=arguments.port) as server:
            sys.stdout.write(f"{server.url()}\n")
            sys.stdout.flush()
            while not stopped.wait(0.2) and os.getppid() == parent:
                pass
    except (PostgresError, NoPostgresError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
