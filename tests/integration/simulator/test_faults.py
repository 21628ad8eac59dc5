"""Faults strike whom they are aimed at, as often as they were told."""

import httpx
import pytest

from simulator import Fault, Refusal, RouteKind, Simulator
from tests.integration.simulator.caller import Caller, http_client

ALPHA = "sk-openai-0123456789-live"


async def test_a_proxys_error_page_is_html(sim: Simulator, call: Caller) -> None:
    sim.fault(Fault.HTML_PAGE, dialect="openai")
    answer = await call.generate("openai", ALPHA)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html"
    assert "<title>502 Bad Gateway</title>" in answer.text


@pytest.mark.parametrize(
    ("fault", "status"), [(Fault.REDIRECT_302, 302), (Fault.REDIRECT_307, 307)]
)
async def test_a_redirect_leads_to_another_host_and_shows_who_follows_with_a_key(
    sim: Simulator, call: Caller, fault: Fault, status: int
) -> None:
    sim.fault(fault, dialect="anthropic")
    secret = "sk-anthropic-0123456789-live"
    answer = await call.list_models("anthropic", secret)
    assert answer.status_code == status
    assert httpx.URL(answer.headers["location"]).host != httpx.URL(sim.origin).host
    await call.http.get(answer.headers["location"], headers={"x-api-key": secret})
    assert [(each.dialect, each.key) for each in sim.calls] == [
        ("anthropic", "anthropic-1"),
        ("elsewhere", "anthropic-1"),
    ]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.RESET, httpx.ReadError),
        (Fault.CLOSE, httpx.RemoteProtocolError),
        (Fault.GARBAGE, httpx.RemoteProtocolError),
        (Fault.HALF_BODY, httpx.RemoteProtocolError),
    ],
)
async def test_a_broken_connection_is_a_transport_error(
    sim: Simulator, call: Caller, fault: Fault, error: type[httpx.TransportError]
) -> None:
    sim.fault(fault, dialect="openai", times=1)
    with pytest.raises(error):
        await call.generate("openai", ALPHA)
    assert sim.calls[0].status == (200 if fault is Fault.HALF_BODY else None)
    assert (await call.generate("openai", ALPHA)).status_code == 200
    assert sim.key(ALPHA).in_flight == 0


async def test_an_error_can_hide_in_a_success(sim: Simulator, call: Caller) -> None:
    sim.fault(Fault.ERROR_IN_200, dialect="openai", cause=Refusal.EMPTY_WALLET)
    answer = await call.generate("openai", ALPHA)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == "insufficient_quota"


async def test_a_vague_401_says_nothing_about_the_key(sim: Simulator, call: Caller) -> None:
    sim.fault(Refusal.BARE_UNAUTHORIZED, key=ALPHA)
    answer = await call.generate("openai", ALPHA)
    assert (answer.status_code, answer.text) == (401, "Unauthorized")


async def test_a_fault_can_concern_one_key_or_one_model_or_one_kind_of_call(
    sim: Simulator, call: Caller
) -> None:
    sim.add_key("openai", "sk-other")
    sim.fault(Refusal.UNAVAILABLE, key="sk-other")
    sim.fault(Refusal.SERVER_ERROR, dialect="openai", model="gpt-4o")
    sim.fault(Refusal.OVERLOADED, dialect="openai", only=RouteKind.LIST_MODELS)
    assert (await call.generate("openai", "sk-other", model="gpt-4o-mini")).status_code == 503
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 500
    assert (await call.generate("openai", ALPHA, model="gpt-4o-mini")).status_code == 200
    assert (await call.list_models("openai", ALPHA)).status_code == 503
    sim.clear_faults(key="sk-other")
    assert (await call.generate("openai", "sk-other", model="gpt-4o-mini")).status_code == 200
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 500
    sim.clear_faults()
    assert (await call.generate("openai", ALPHA, model="gpt-4o")).status_code == 200


async def test_a_provider_in_trouble_does_not_look_at_the_key_first(
    sim: Simulator, call: Caller
) -> None:
    sim.revoke(ALPHA)
    sim.fault(Refusal.UNAVAILABLE, dialect="openai")
    assert (await call.generate("openai", ALPHA)).status_code == 503


async def test_a_dead_key_is_rejected_before_its_request_is_read(
    sim: Simulator, call: Caller
) -> None:
    sim.revoke(ALPHA)
    sim.fault(Refusal.BAD_REQUEST, dialect="openai")
    assert (await call.generate("openai", ALPHA)).status_code == 401


async def test_a_fault_ends_after_its_number_of_times(sim: Simulator, call: Caller) -> None:
    sim.fault(Refusal.SERVER_ERROR, dialect="openai", times=2)
    statuses = [(await call.generate("openai", ALPHA)).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]


async def test_a_failure_rate_repeats_with_its_seed() -> None:
    async def run(seed: int) -> list[int]:
        async with Simulator.start(seed=seed) as sim, http_client() as http:
            sim.add_key("openai", ALPHA)
            sim.fail_rate("openai", 0.2)
            caller = Caller(sim, http)
            return [(await caller.generate("openai", ALPHA)).status_code for _ in range(200)]

    first = await run(7)
    assert first == await run(7)
    assert first != await run(8)
    assert 20 <= first.count(500) <= 60


async def test_a_failure_rate_of_zero_ends_it(sim: Simulator, call: Caller) -> None:
    sim.fail_rate("openai", 1.0)
    assert (await call.generate("openai", ALPHA)).status_code == 500
    assert (await call.list_models("openai", ALPHA)).status_code == 200
    sim.fail_rate("openai", 0.0)
    assert (await call.generate("openai", ALPHA)).status_code == 200
