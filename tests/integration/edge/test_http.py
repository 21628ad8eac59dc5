"""What operators' tools read over plain HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest

from broker.app import App
from tests.integration.edge.conftest import OpenApp


@pytest.fixture
async def app(open_app: OpenApp) -> App:
    return await open_app()


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.http_port}") as client:
        yield client


async def test_status_is_what_get_status_answers(http: httpx.AsyncClient) -> None:
    status = (await http.get("/status")).json()
    openai = next(entry for entry in status["providers"] if entry["provider"] == "openai")
    assert openai["runnable"] is True
    assert openai["keys_by_state"] == {"healthy": 1}
    assert status["replica"]["name"] == "replica-1"


async def test_nothing_that_is_shown_holds_a_secret(http: httpx.AsyncClient) -> None:
    for path in ("/status", "/metrics"):
        assert "sk-secret" not in (await http.get(path)).text


async def test_metrics_are_in_the_text_format(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'keybroker_pool_keys{provider="openai",state="healthy"} 1.0' in answer.text


async def test_other_paths_and_methods_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get("/nothing")).status_code == 404
    assert (await http.post("/status")).status_code == 405


async def test_readiness_ends_with_the_drain(app: App, http: httpx.AsyncClient) -> None:
    assert (await http.get("/readyz")).status_code == 200
    app.is_serving = False
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/livez")).status_code == 200


async def test_http_can_be_switched_off(open_app: OpenApp) -> None:
    assert (await open_app(http_listen="")).http_port == 0
