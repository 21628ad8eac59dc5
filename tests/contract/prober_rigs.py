"""Probers with a provider in hand that answers what a test says, one rig an adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from broker.adapters.http import HttpProber
from broker.core.key import Key
from broker.core.provider import Provider
from broker.core.secret import Secret
from broker.core.verdicts.dialect import EACH, Dialect, ErrorSites, FreeProbe
from broker.core.words import ProbeResult, Provenance
from broker.ports.prober import Probed, Prober
from tests.contract.loopback import Loopback, hang, loopback, say
from tests.fakes import FakeProber

SECRET = "sk-canary-0123456789"
KEY = Key("acme/1", "aa", "acme", Secret(SECRET), Provenance.SYSTEM)
DIALECT = Dialect(
    name="acme",
    title="Acme",
    base_url="",
    errors=ErrorSites(fields={}, message=(("error", "message"),)),
    rules=(),
    probe=FreeProbe("/models", authenticates=True, model_names=("data", EACH, "id")),
)
PROBE_TIMEOUT_S = 0.3


class ProberRig(Protocol):
    """A prober, the provider it calls, and what that will answer."""

    prober: Prober
    provider: Provider

    def will_accept(self) -> None:
        """The provider takes the key and lists the models a and b."""

    def will_reject(self) -> None:
        """The provider refuses the key."""

    def will_fail(self) -> None:
        """The provider has trouble of its own."""

    def will_hang(self) -> None:
        """The provider says nothing."""


class FakeRig:
    """Queues what each probe will find."""

    def __init__(self) -> None:
        self._fake = FakeProber()
        self.prober: Prober = self._fake
        self.provider = Provider("acme", DIALECT, "https://acme.example")

    def will_accept(self) -> None:
        self._will_find(ProbeResult.AUTHENTICATED, models=("a", "b"))

    def will_reject(self) -> None:
        self._will_find(ProbeResult.REJECTED)

    def will_fail(self) -> None:
        self._will_find(ProbeResult.INCONCLUSIVE)

    def will_hang(self) -> None:
        self._will_find(ProbeResult.INCONCLUSIVE, reached=False)

    def _will_find(
        self, result: ProbeResult, models: tuple[str, ...] = (), *, reached: bool = True
    ) -> None:
        self._fake.will_find(KEY.key_id, Probed(result, reached, "fake", models))


class HttpRig:
    """Answers over loopback."""

    def __init__(self, prober: HttpProber, server: Loopback) -> None:
        self.prober: Prober = prober
        self.provider = Provider("acme", DIALECT, server.url)
        self._server = server

    def will_accept(self) -> None:
        self._server.script = say(200, b'{"data": [{"id": "a"}, {"id": "b"}]}')

    def will_reject(self) -> None:
        self._server.script = say(401, b'{"error": {"message": "no such key"}}')

    def will_fail(self) -> None:
        self._server.script = say(503)

    def will_hang(self) -> None:
        self._server.script = hang()


@asynccontextmanager
async def fake_rig() -> AsyncIterator[ProberRig]:
    yield FakeRig()


@asynccontextmanager
async def http_rig() -> AsyncIterator[ProberRig]:
    async with loopback() as server:
        prober = HttpProber(PROBE_TIMEOUT_S)
        yield HttpRig(prober, server)
        await prober.close()
