"""What befalls a `.env`: what it last said well stays in use, and each fault is told."""

import asyncio
import os
from collections.abc import Callable

from keybroker.v1 import admin_pb2
from tests.e2e.processes import House, house
from tests.e2e.running import Broker, Traffic, until

__all__ = ["house"]


async def faults(broker: Broker) -> str:
    """What operators are told of the sources of keys; the file is looked at now."""
    await broker.gateway.admin.RefreshKeys(admin_pb2.RefreshKeysRequest())
    return " ".join(fault for source in (await broker.status()).sources for fault in source.faults)


def emptied(house: House) -> None:
    house.env_file.write_text("")


def deleted(house: House) -> None:
    house.env_file.unlink()


def unreadable(house: House) -> None:
    """Also for root."""
    house.env_file.unlink()
    house.env_file.symlink_to(house.env_file)


def a_directory(house: House) -> None:
    house.env_file.unlink()
    house.env_file.mkdir()


def a_pipe(house: House) -> None:
    house.env_file.unlink()
    os.mkfifo(house.env_file)


def misspelt(house: House) -> None:
    house.env_file.write_text(f"# keys\nOPENAI_API_KEY_1 {house.sim.key('s1').secret}\n")


MISHAPS: dict[Callable[[House], None], tuple[str, ...]] = {
    emptied: (".env", "has no keys any more", "stays in use"),
    deleted: (".env is not there", "put it back", "stays in use"),
    unreadable: (".env cannot be read", "stays in use"),
    a_directory: (".env cannot be read", "stays in use"),
    a_pipe: (".env cannot be read: it is no regular file", "stays in use"),
    misspelt: (".env:2", "is not NAME=value", "stays in use"),
}


def clear(house: House) -> None:
    """Take away whatever stands where the file belongs."""
    if house.env_file.is_dir() and not house.env_file.is_symlink():
        house.env_file.rmdir()
    else:
        house.env_file.unlink(missing_ok=True)


async def test_whatever_befalls_the_file_no_call_is_lost_and_every_fault_is_told(
    house: House,
) -> None:
    keys = {"OPENAI_API_KEY_1": house.issue("s1"), "OPENAI_API_KEY_2": house.issue("s2")}
    house.write_env(**keys)
    broker = await house.start()
    traffic = Traffic(broker)
    for befalls, words in MISHAPS.items():
        befalls(house)
        told = await faults(broker)
        assert all(word in told for word in words), told
        clear(house)
        house.write_env(**keys)
        assert not await faults(broker)
    await traffic.end()
    assert set(await broker.states()) == {"openai/1", "openai/2"}
    kinds = await broker.kinds()
    assert kinds.count("source_faulty") >= len(MISHAPS)
    assert {"key_removed", "key_rotated"}.isdisjoint(kinds)


async def test_a_file_that_is_written_slowly_costs_no_call(house: House) -> None:
    """Whatever a look finds of it in the middle: half a secret is none."""
    house.write_env(OPENAI_API_KEY_1=house.issue("s1"), OPENAI_API_KEY_2=house.issue("s2"))
    broker = await house.start()
    traffic = Traffic(broker)
    text = f"OPENAI_API_KEY_1={house.issue('n1')}\nOPENAI_API_KEY_2={house.issue('n2')}\n"
    with house.env_file.open("w") as file:
        for piece in (text[start : start + 8] for start in range(0, len(text), 8)):
            file.write(piece)
            file.flush()
            await asyncio.sleep(0.15)

    async def are_both_new() -> bool:
        return {f"sk-zqcanary-n{number}" for number in (1, 2)} <= traffic.secrets

    await until(are_both_new, 3.0)
    await traffic.end()
    assert set((await broker.states()).values()) == {"healthy"}
    assert not await faults(broker)
