"""A PostgreSQL of one's own: found, begun, disturbed, and gone with whoever began it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from simulator import postgres_binaries
from simulator.postgres import Postgres, PostgresError
from simulator.postgres_binaries import (
    Account,
    NoPostgresError,
    find_binaries,
    made_runnable,
    wheel_binaries,
)

COMMAND = [sys.executable, "-m", "simulator.postgres"]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def folder_of(url: str) -> Path:
    """Where a server keeps everything."""
    with psycopg.connect(url) as connection:
        ((data,),) = connection.execute("SHOW data_directory").fetchall()
    return Path(data).parent


def make(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("initdb", "postgres"):
        folder.joinpath(name).write_text("#!/bin/sh\n")
        folder.joinpath(name).chmod(0o755)
    return folder


@contextmanager
def a_process() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The program, and the URL that it prints."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_server_answers_whoever_knows_its_password(server: Postgres) -> None:
    assert answers(server.url())
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url().replace("keybroker:", "keybroker:x"))


def test_a_server_is_where_it_was_after_a_restart_and_a_crash(server: Postgres) -> None:
    url = server.url()
    server.restart()
    assert answers(url)
    server.kill()
    assert not answers(url)
    server.start()
    assert answers(url)


def test_a_frozen_server_takes_calls_and_does_not_answer_until_it_thaws(server: Postgres) -> None:
    server.freeze()
    assert not answers(server.url())
    server.thaw()
    assert answers(server.url())


def test_two_servers_are_two() -> None:
    with Postgres() as one, Postgres() as other:
        assert one.url() != other.url()
        assert answers(one.url())
        assert answers(other.url())


def test_nothing_is_left_of_a_server_that_was_ended() -> None:
    with Postgres() as server:
        folder = folder_of(server.url())
        assert folder.exists()
        server.freeze()
    assert not folder.exists()


def test_a_port_that_is_asked_for_and_taken_is_told(server: Postgres) -> None:
    with pytest.raises(PostgresError, match="could not bind"):
        Postgres(port=server.port)


def test_a_setting_that_is_none_is_told() -> None:
    with pytest.raises(PostgresError, match="no_such_setting"):
        Postgres(no_such_setting="1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_prints_its_url_and_ends_when_it_is_told(number: signal.Signals) -> None:
    with a_process() as (process, url):
        assert answers(url)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not answers(url)


def test_a_server_goes_with_a_process_that_is_killed() -> None:
    with a_process() as (process, url):
        folder = folder_of(url)
        process.kill()
        process.wait()
        ends = time.monotonic() + 10
        while folder.exists() and time.monotonic() < ends:
            time.sleep(0.05)
        assert not folder.exists()
        assert not answers(url)


def test_the_program_goes_with_whoever_started_it() -> None:
    starting = f"import subprocess, sys; subprocess.Popen({COMMAND!r}); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", starting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        url = parent.stdout.readline().strip()
        assert answers(url)
        parent.kill()
        parent.wait()
    ends = time.monotonic() + 10
    while answers(url) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not answers(url)


def test_the_program_tells_that_there_is_no_server(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--binaries", str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"there is no PostgreSQL in {tmp_path}" in done.stderr


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without PostgreSQL, but for the wheel."""
    monkeypatch.delenv(postgres_binaries.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(postgres_binaries, "_SYSTEM", (f"{tmp_path}/lib/*/bin",))
    return tmp_path


def test_the_binaries_that_are_named_come_first(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(system / "path")
    monkeypatch.setenv(postgres_binaries.VARIABLE, str(make(system / "named")))
    assert find_binaries() == system / "named"


def test_those_on_the_path_come_before_the_system_s(system: Path) -> None:
    make(system / "lib" / "15" / "bin")
    make(system / "path")
    assert find_binaries() == system / "path"


def test_the_system_s_newest_come_before_the_wheel_s(system: Path) -> None:
    for version in ("9.6", "15", "16"):
        make(system / "lib" / version / "bin")
    make(system / "lib" / "17" / "bin", "postgres")  # without initdb
    assert find_binaries() == system / "lib" / "16" / "bin"


def test_where_there_are_no_others_the_wheel_s_serve(system: Path) -> None:
    assert find_binaries() == wheel_binaries()
    with Postgres() as server:
        folder = folder_of(server.url())
    assert not folder.exists()


def test_a_machine_without_any_is_told_what_to_do(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_binaries, "wheel_binaries", lambda: None)
    with pytest.raises(NoPostgresError, match="install one, or the Python package"):
        find_binaries()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_binaries_that_the_server_s_user_cannot_reach_are_copied(tmp_path: Path) -> None:
    shut = make(tmp_path / "shut" / "bin")
    tmp_path.joinpath("shut").chmod(0o700)
    account = Account.of_server()
    folder = account.new_folder()
    try:
        copy = made_runnable(shut, account, folder / "server")
        assert copy == folder / "server" / "bin"
        assert account.run([copy / "postgres"], folder).returncode == 0
    finally:
        shutil.rmtree(folder)


def test_a_server_learns_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    with Postgres() as server:
        environ = Path(f"/proc/{server.pid}/environ").read_bytes()
    assert b"canary" not in environ
