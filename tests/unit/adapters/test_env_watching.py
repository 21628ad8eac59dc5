"""What happens to a `.env` while a broker watches it."""

import asyncio
from pathlib import Path

import pytest

from broker.adapters.env import EnvKeySource
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot

PROVIDERS = ("openai",)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def put(file: Path, text: str) -> None:
    file.write_text(text)


def take_away(file: Path) -> None:
    file.unlink()


def make_a_folder_of(file: Path) -> None:
    file.unlink()
    file.mkdir()


def replace_by_a_rename(file: Path, text: str) -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.replace(file)


def watching(file: Path, environ: dict[str, str] | None = None) -> EnvKeySource:
    return EnvKeySource(environ or {}, file, PROVIDERS, b"f", pause_s=0.0)


def secrets(snapshot: SourceSnapshot) -> list[str]:
    return [key.secret.reveal() for key in snapshot.keys]


async def test_an_emptied_file_is_a_fault_also_where_the_environment_has_keys(file: Path) -> None:
    source = watching(file, {"OPENAI_API_KEY": "own"})
    put(file, "OPENAI_API_KEY_1=a\n")
    await source.load()
    for emptied in ("", "# later\n", "LOG=1\n", "OPENAI_API_KEY_1__WEIGHT=2\n"):
        put(file, emptied)
        snapshot = await source.load()
        assert secrets(snapshot) == ["own"]
        assert snapshot.faults[0].place == ".env"
        assert "has no keys any more" in snapshot.faults[0].message
    put(file, "OPENAI_API_KEY_2=b\n")
    assert (await source.load()).faults == ()


async def test_a_file_that_never_had_keys_may_be_empty(file: Path) -> None:
    source = watching(file)
    for text in ("", "LOG=1\n", ""):
        put(file, text)
        assert (await source.load()).faults == ()


async def test_a_file_that_had_keys_must_not_vanish(file: Path) -> None:
    source = watching(file)
    assert (await source.load()).faults == ()
    put(file, "OPENAI_API_KEY=a\n")
    await source.load()
    take_away(file)
    with pytest.raises(SourceUnavailableError, match="put it back; what was read stays in use"):
        await source.load()
    put(file, "OPENAI_API_KEY=b\n")
    assert secrets(await source.load()) == ["b"]


async def test_a_file_that_becomes_a_folder_is_unavailable(file: Path) -> None:
    source = watching(file)
    put(file, "OPENAI_API_KEY=a\n")
    await source.load()
    make_a_folder_of(file)
    with pytest.raises(SourceUnavailableError, match="no regular file; what was read before"):
        await source.load()


async def test_a_file_that_is_replaced_by_a_rename_is_read(file: Path) -> None:
    source = watching(file)
    put(file, "OPENAI_API_KEY=a\n")
    await source.load()
    replace_by_a_rename(file, "OPENAI_API_KEY=b\n")
    assert secrets(await source.load()) == ["b"]


async def test_where_nothing_changed_the_very_same_snapshot_is_given(file: Path) -> None:
    source = watching(file)
    put(file, "OPENAI_API_KEY=a\n")
    first = await source.load()
    put(file, "OPENAI_API_KEY=a\n")
    assert await source.load() is first


async def test_a_file_that_is_being_written_is_waited_for(file: Path) -> None:
    source = EnvKeySource({}, file, PROVIDERS, b"f", pause_s=0.05)
    put(file, "OPENAI_API_KEY_1=aaa\nOPENAI_API_KEY_2=bbb\n")
    await source.load()
    put(file, "OPENAI_API_KEY_1=a")
    loading = asyncio.create_task(source.load())
    await asyncio.sleep(0.02)
    put(file, "OPENAI_API_KEY_1=aaa\nOPENAI_API_KEY_2=ccc\n")
    assert secrets(await loading) == ["aaa", "ccc"]
