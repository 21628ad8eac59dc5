"""Streams are server-sent events in each dialect's own words."""

import json

import httpx
import pytest

from simulator import DIALECTS, Fault, Refusal, Simulator
from simulator.client import authentication, generation
from tests.integration.simulator.caller import Caller

ALPHA = "sk-openai-0123456789-live"


def _documents(text: str) -> list[dict[str, object]]:
    lines = [
        line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")
    ]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("dialect", "last"),
    [
        ("openai", "data: [DONE]"),
        ("anthropic", 'data: {"type": "message_stop"}'),
        ("gemini", '"finishReason": "STOP"'),
        ("groq", "data: [DONE]"),
        ("mistral", "data: [DONE]"),
        ("deepseek", "data: [DONE]"),
        ("openai_compatible", "data: [DONE]"),
    ],
)
async def test_a_stream_says_the_whole_text_and_ends_as_documented(
    sim: Simulator, call: Caller, dialect: str, last: str
) -> None:
    sim.generate_for(0, pieces=5, dialect=dialect)
    answer = await call.generate(dialect, f"sk-{dialect}-0123456789-live", streams=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    for piece in ("Hello", " from", " the ", "simul", "ator."):
        assert f'"{piece}"' in answer.text
    assert last in answer.text.strip().rpartition("\n\n")[2]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_can_end_in_an_error_event(
    sim: Simulator, call: Caller, dialect: str
) -> None:
    sim.fault(Fault.ERROR_IN_STREAM, dialect=dialect)
    secret = f"sk-{dialect}-0123456789-live"
    answer = await call.generate(dialect, secret, streams=True)
    assert answer.status_code == 200
    first, *_, last = _documents(answer.text)
    told = json.dumps(last)
    assert "error" in told
    assert "error" not in json.dumps(first)
    assert ("event: error" in answer.text) == (dialect == "anthropic")
    assert (await call.generate(dialect, secret)).is_success, "only streams are touched"


async def test_the_error_in_a_stream_can_be_chosen(sim: Simulator, call: Caller) -> None:
    sim.fault(Fault.ERROR_IN_STREAM, dialect="openai", cause=Refusal.EMPTY_WALLET)
    answer = await call.generate("openai", ALPHA, streams=True)
    assert "insufficient_quota" in answer.text


async def test_a_cut_stream_is_a_transport_error_after_its_first_bytes(
    sim: Simulator, call: Caller
) -> None:
    sim.fault(Fault.HALF_BODY, dialect="openai")
    url, body = generation("openai", sim.base_url("openai"), "gpt-4o", streams=True)
    received = bytearray()

    async def receive() -> None:
        async with call.http.stream(
            "POST", url, json=body, headers=authentication("openai", ALPHA)
        ) as answer:
            async for chunk in answer.aiter_bytes():
                received.extend(chunk)

    with pytest.raises(httpx.RemoteProtocolError):
        await receive()
    assert b"chat.completion.chunk" in received
    assert b"[DONE]" not in received


async def test_a_stream_is_in_flight_until_its_end(sim: Simulator, call: Caller) -> None:
    sim.generate_for(0.05, pieces=3, dialect="openai")
    url, body = generation("openai", sim.base_url("openai"), "gpt-4o", streams=True)
    async with call.http.stream(
        "POST", url, json=body, headers=authentication("openai", ALPHA)
    ) as answer:
        chunks = answer.aiter_bytes()
        await anext(chunks)
        assert sim.key(ALPHA).in_flight == 1
        async for _ in chunks:
            pass
    await sim.until(lambda: sim.key(ALPHA).in_flight == 0)


async def test_a_client_may_leave_in_the_middle_of_a_stream(sim: Simulator, call: Caller) -> None:
    sim.generate_for(0.2, pieces=200, dialect="openai")
    url, body = generation("openai", sim.base_url("openai"), "gpt-4o", streams=True)
    async with call.http.stream(
        "POST", url, json=body, headers=authentication("openai", ALPHA)
    ) as answer:
        await anext(answer.aiter_bytes())
    await sim.until(lambda: sim.key(ALPHA).in_flight == 0)
    assert (await call.generate("openai", ALPHA)).status_code == 200
