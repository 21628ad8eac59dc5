"""`python -m simulator` serves until it is told to stop."""

import asyncio
import signal
import sys
from pathlib import Path

from simulator import DIALECTS
from tests.integration.simulator.caller import http_client

KEYS = """
[[keys]]
dialect = "openai"
secret = "sk-from-file"
label = "alpha"
account = "acme"
models = ["gpt-4o"]
"""


async def _run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulator", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _urls(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode().split() for _ in range(len(DIALECTS) + 1)]
    return {line[0]: line[1] for line in lines}


async def test_it_prints_its_urls_serves_the_key_file_and_stops_at_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(KEYS)
    process = await _run("--keys", str(path))
    urls = await _urls(process)
    assert set(urls) == {*DIALECTS, "control"}
    async with http_client() as http:
        headers = {"authorization": "Bearer sk-from-file"}
        listed = await http.get(urls["openai"] + "/models", headers=headers)
        assert [row["id"] for row in listed.json()["data"]] == ["gpt-4o"]
        await http.post(urls["control"] + "hang", json={"dialect": "openai"})
        waiting = asyncio.create_task(http.get(urls["openai"] + "/models", headers=headers))
        for _ in range(1000):
            if (await http.get(urls["control"] + "keys")).json()[0]["in_flight"]:
                break
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], Exception)
    assert (process.returncode, errors) == (0, b"")


async def test_a_key_file_with_faults_is_refused_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(
        '[[keys]]\ndialect = "openai"\nsecret = ""\n'
        '[[keys]]\nsecret = "sk-secret"\ncolour = "red"\n'
    )
    process = await _run("--keys", str(path))
    _, errors = await process.communicate()
    assert process.returncode == 1
    for fault in ("keys.0.secret", "keys.1.dialect", "keys.1.colour"):
        assert fault in errors.decode()
    assert b"sk-secret" not in errors


async def test_a_key_file_names_unknown_dialects_and_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    for text, fault in (
        ('[[keys]]\ndialect = "bedrock"\nsecret = "sk-secret"\n', "keys.0.dialect"),
        ('[[keys]]\ndialect = "groq"\nsecret = "sk-secret"\n' * 2, "keys.1"),
        ("[[keys", "keys.toml"),
    ):
        path.write_text(text)
        process = await _run("--keys", str(path))
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert fault in errors.decode()
        assert b"sk-secret" not in errors


async def test_a_taken_port_is_told_in_one_line() -> None:
    first = await _run()
    port = (await _urls(first))["control"].split(":")[2].partition("/")[0]
    second = await _run("--port", port)
    _, errors = await second.communicate()
    assert second.returncode == 1
    assert errors.count(b"\n") == 1
    first.send_signal(signal.SIGINT)
    await first.communicate()
    assert first.returncode == 0
