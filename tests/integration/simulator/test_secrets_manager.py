"""`python -m simulator.secrets_manager` as a program."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from simulator.secrets_manager import SecretsManager, SecretsManagerError
from tests.aws import Vault

COMMAND = [sys.executable, "-m", "simulator.secrets_manager"]


def test_it_serves_until_it_is_closed_and_forgets() -> None:
    with SecretsManager() as server:
        vault = Vault(server.url)
        vault.put("openai", "sk-1")
        vault.destroy("openai")
        vault.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


def test_it_says_where_it_serves_and_ends_at_sigterm() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, check=False, timeout=30
        )
        assert told.returncode == 1
        assert f"port {port} is taken" in told.stderr.decode()
        with pytest.raises(SecretsManagerError):
            SecretsManager(port=port)


def test_it_goes_with_whoever_started_it() -> None:
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen({COMMAND!r}, stdout=subprocess.PIPE)\n"
        "print(child.stdout.readline().decode().strip(), child.pid, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    url, pid = told.stdout.decode().split()
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            httpx.get(f"{url}/moto-api/data.json")
        except httpx.TransportError:
            return
        time.sleep(0.05)
    os.kill(int(pid), signal.SIGKILL)
    pytest.fail("it runs on")
