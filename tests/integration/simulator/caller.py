"""A gateway that calls the simulated providers over real HTTP, and nothing more."""

import ssl
from dataclasses import dataclass
from typing import Final

import httpx

from simulator import Simulator
from simulator.client import authentication, generation
from simulator.dialects import DIALECTS

_TLS: Final = ssl.create_default_context()  # never used, but dear to make: once is enough


def http_client() -> httpx.AsyncClient:
    """A client that takes no time to make."""
    return httpx.AsyncClient(verify=_TLS)


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Caller:
    """Calls providers with a secret; "" presents none."""

    sim: Simulator
    http: httpx.AsyncClient

    def headers(self, dialect: str, secret: str) -> dict[str, str]:
        if secret:
            return authentication(dialect, secret)
        return {"anthropic-version": "2023-06-01"}

    async def generate(
        self,
        dialect: str,
        secret: str,
        *,
        model: str = "",
        prompt: str = "Hi",
        streams: bool = False,
    ) -> httpx.Response:
        model = model or DIALECTS[dialect].models[0]
        url, body = generation(dialect, self.sim.base_url(dialect), model, prompt, streams=streams)
        return await self.http.post(url, json=body, headers=self.headers(dialect, secret))

    async def list_models(self, dialect: str, secret: str) -> httpx.Response:
        path = {"anthropic": "/v1/models", "gemini": "/v1beta/models"}.get(dialect, "/models")
        url = self.sim.base_url(dialect) + path
        return await self.http.get(url, headers=self.headers(dialect, secret))

    async def command(self, name: str, **arguments: object) -> httpx.Response:
        return await self.http.post(self.sim.control_url + name, json=arguments)
