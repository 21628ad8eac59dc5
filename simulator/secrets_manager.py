"""AWS Secrets Manager and KMS on loopback: `python -m simulator.secrets_manager` until SIGTERM.

It is moto's server, in a process of its own, which goes with the process that started it. It takes
any credentials, keeps nothing on disk, and is unlike AWS where `docs/secrets-manager.md` says so.
"""

import argparse
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

START_S: Final = 60.0
"""How long it may take to start; moto alone is a second of imports on a busy machine."""

_STOP_S: Final = 5.0


class SecretsManagerError(Exception):
    """The server does not start; the message says why."""


class SecretsManager:
    """One server as a process; `url` is its endpoint. Making it blocks until it serves."""

    def __init__(self, *, port: int = 0) -> None:
        """Start it on any free port, or on this one; raises SecretsManagerError."""
        self._process = subprocess.Popen(  # noqa: S603 - a module of ours
            [sys.executable, "-m", "simulator.secrets_manager", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for whoever started it
        )
        self.url = self._first_line()
        if not self.url.startswith("http"):
            self.close()
            raise SecretsManagerError("the simulated Secrets Manager does not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _v: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _first_line(self) -> str:
        output, ends = self._process.stdout, time.monotonic() + START_S
        said = b""
        while output is not None and not said.endswith(b"\n"):
            ready, _, _ = select.select([output], [], [], max(ends - time.monotonic(), 0))
            part = os.read(output.fileno(), 4096) if ready else b""
            if not part:
                break
            said += part
        return said.decode().strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop, or left by whoever started this; its URL is one line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.secrets_manager",
        description="AWS Secrets Manager and KMS on loopback, by moto; it prints its URL.",
    )
    parser.add_argument("--port", type=int, default=0, help="port; 0, the default, is any free one")
    arguments = parser.parse_args(argv)
    parent, stopped = os.getppid(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes a while, and is optional
    except ImportError as error:
        sys.stderr.write(f"{error}: install keybroker-server[drill]\n")
        return 1
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if arguments.port and not _is_free(arguments.port):
        sys.stderr.write(f"port {arguments.port} is taken\n")
        return 1
    server = ThreadedMotoServer("127.0.0.1", arguments.port, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    while not stopped.wait(0.2) and os.getppid() == parent:
        pass
    server.stop()
    return 0


def _is_free(port: int) -> bool:
    """Can the port be listened on? moto's thread would wait for ever where it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
