"""Slow and hanging answers keep nobody waiting longer than they must."""

import asyncio
import time

import httpx
import pytest

from simulator import Fault, Simulator
from tests.integration.simulator.caller import Caller, http_client

ALPHA = "sk-openai-0123456789-live"


async def _until_in_flight(sim: Simulator, most: int) -> None:
    await sim.until(lambda: sim.key(ALPHA).in_flight == most)


async def test_a_slow_provider_answers_late(sim: Simulator, call: Caller) -> None:
    sim.slow(0.05, dialect="openai")
    began = time.monotonic()
    assert (await call.generate("openai", ALPHA)).status_code == 200
    assert time.monotonic() - began >= 0.05
    sim.slow(0, dialect="openai")


async def test_a_long_generation_does_not_delay_a_refusal(sim: Simulator, call: Caller) -> None:
    sim.generate_for(30, dialect="openai")
    sim.limit_for(ALPHA, 60)
    assert (await call.generate("openai", ALPHA)).status_code == 429


async def test_the_newest_delay_that_covers_a_call_counts(sim: Simulator, call: Caller) -> None:
    sim.slow(30, dialect="openai")
    sim.slow(0, key=ALPHA)
    assert (await call.generate("openai", ALPHA)).status_code == 200


async def test_a_hanging_call_is_answered_when_released(sim: Simulator, call: Caller) -> None:
    sim.hang(dialect="openai")
    waiting = asyncio.create_task(call.generate("openai", ALPHA))
    await _until_in_flight(sim, 1)
    assert sim.calls[0].status is None
    sim.release(dialect="openai")
    assert (await waiting).status_code == 200
    assert (await call.generate("openai", ALPHA)).status_code == 200


async def test_a_hanging_call_ends_when_its_client_goes_away(sim: Simulator, call: Caller) -> None:
    sim.hang(key=ALPHA)
    with pytest.raises(httpx.ReadTimeout):
        await call.http.get(
            sim.base_url("openai") + "/models",
            headers={"authorization": f"Bearer {ALPHA}"},
            timeout=0.05,
        )
    await _until_in_flight(sim, 0)
    assert sim.calls[0].status is None


async def test_clearing_all_faults_releases_what_hangs(sim: Simulator, call: Caller) -> None:
    sim.fault(Fault.HANG)
    waiting = asyncio.create_task(call.generate("openai", ALPHA))
    await _until_in_flight(sim, 1)
    sim.clear_faults()
    assert (await waiting).status_code == 200


async def test_stopping_waits_for_nobody() -> None:
    async with http_client() as http:
        async with Simulator.start() as sim:
            sim.add_key("openai", ALPHA)
            sim.hang(dialect="openai")
            waiting = asyncio.create_task(Caller(sim, http).generate("openai", ALPHA))
            await _until_in_flight(sim, 1)
            port = sim.port
        with pytest.raises(httpx.TransportError):
            await waiting
        assert sim.key(ALPHA).in_flight == 0
        async with Simulator.start(port=port) as again:
            assert again.port == port


async def test_five_hundred_calls_a_second_are_no_burden(sim: Simulator) -> None:
    head = f"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ALPHA}\r\n\r\n"

    async def connection(calls: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        for _ in range(calls):
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 OK")
            length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    began = time.process_time()
    await asyncio.gather(*(connection(100) for _ in range(10)))
    assert time.process_time() - began < 2.0, "1000 calls, client included"
