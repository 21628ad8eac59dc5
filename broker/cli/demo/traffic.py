"""Traffic: callers that use the Python client as any gateway would."""

import asyncio
from random import Random

import httpx

from broker.cli.demo.providers import MODELS, prompt_for
from broker.cli.demo.tally import Group, Tally
from keybroker import AsyncClient, AsyncLease, Denied, KeybrokerError, Provenance

PER_SECOND = 12.0
"""Requests a second of each group."""

REQUEST_S = 10.0


class Traffic:
    """Every group asks for the same model again and again, whatever comes back."""

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient, tally: Tally) -> None:
        self._client = client
        self._http = http
        self._tally = tally
        self._random = Random(1)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send requests until cancelled; those under way are finished."""
        try:
            while True:
                for group in self._tally.groups:
                    task = asyncio.create_task(self._ask(group))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
                await asyncio.sleep(self._random.uniform(0.5, 1.5) / PER_SECOND)
        finally:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _ask(self, group: Group) -> None:
        group.asked += 1
        try:
            served = await self._client.call(
                self._post,
                "openai",
                MODELS["openai"],
                tenant=group.tenant,
                fallbacks=group.fallbacks,
                timeout=REQUEST_S,
            )
        except Denied as denied:
            group.denied += 1
            group.denial = _told(denied)
            return
        except (KeybrokerError, httpx.HTTPError) as error:
            group.failed += 1
            group.failure = repr(error)
            return
        if served.ok:
            group.served += 1
            group.saved += len(served.attempts) > 1 or served.last.target.provider != "openai"
        elif served.denial is not None:
            group.denied += 1
        else:
            group.failed += 1
            group.failure = repr(served)
        expected = Provenance.TENANT if group.tenant == "acme" else Provenance.SYSTEM
        self._tally.wrong_owner += served.last.provenance is not expected

    async def _post(self, lease: AsyncLease) -> httpx.Response:
        url, body = prompt_for(lease.provider, lease.base_url, lease.provider_model)
        lease.sent()
        return await self._http.post(url, json=body, headers=lease.headers())


def _told(denied: Denied) -> str:
    """A denial in a line."""
    denial = denied.denial
    instead = ", ".join(map(str, denial.alternatives[:2]))
    offered = f"; could have {instead}" if instead else "; nothing else to offer"
    return f"{denial.reason}, {denial.action}{offered}"
