"""System keys from AWS Secrets Manager.

    keybroker/openai      sk-…
    keybroker/anthropic   [{"name": "batch", "secret": "sk-…", "weight": 2}, …]

One reading lists the secrets of each prefix and tag, asks for the values of all in batches of 20,
and reads those anew whose version id is another than before; of these it also asks what they said
before (`AWSPREVIOUS`).
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from broker.adapters.aws.client import AwsClients
from broker.adapters.aws.documents import DocumentReader
from broker.adapters.aws.errors import AwsCallError
from broker.adapters.aws.holdings import Holding, snapshot_of
from broker.adapters.aws.reading import Reading
from broker.adapters.aws.secrets_api import SecretsApi
from broker.adapters.aws.selector import Selector
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceFault, SourceSnapshot

LOAD_S: Final = 15.0
"""How long one reading may take: longer than one call that is repeated after a timeout."""

PREVIOUS_S: Final = 2.0
"""How long a reading waits for what secrets said before; the next one asks again."""

_NAME: Final = "secrets-manager"
_STAYS: Final = "what was read stays in use"


class SecretsManagerSource:
    """System keys of `providers` from the secrets that `selectors` name."""

    def __init__(
        self,
        selectors: Sequence[Selector],
        providers: Collection[str],
        fingerprint_secret: bytes,
        clients: AwsClients,
        *,
        load_s: float = LOAD_S,
        previous_s: float = PREVIOUS_S,
    ) -> None:
        self._selectors = selectors
        self._reader = DocumentReader(providers)
        self._fingerprint_secret = fingerprint_secret
        self._clients = clients
        self._api = SecretsApi(clients)
        self._load_s, self._previous_s = load_s, previous_s
        self._holdings: Mapping[str, Holding] = {}
        self._missed: Mapping[str, int] = {}
        self._had_keys = False

    @property
    def name(self) -> str:
        """The source's name in status and events."""
        return _NAME

    @property
    def is_remote(self) -> bool:
        """Each reading is some calls over the network, which cost money."""
        return True

    async def load(self) -> SourceSnapshot:
        """Read it anew, in bounded time; SourceUnavailableError where no secret can be read."""
        try:
            async with asyncio.timeout(self._load_s):
                return await self._load()
        except TimeoutError:
            message = f"AWS did not answer within {self._load_s:g} s; {_STAYS}"
            raise SourceUnavailableError(message) from None
        except AwsCallError as error:
            raise SourceUnavailableError(f"{error}; {_STAYS}") from None

    async def _load(self) -> SourceSnapshot:
        reading = Reading(self._api, self._selectors, self._holdings, self._missed)
        await reading.read()
        holdings = list(reading.holdings.values())
        if reading.faults and not holdings:
            first, others = reading.faults[0], len(reading.faults) - 1
            more = f" (and {others} more)" if others else ""
            raise SourceUnavailableError(f"{first.place} {first.message}{more}; {_STAYS}")
        await self._look_back(holdings)
        snapshot = await self._clients.run(
            lambda: snapshot_of(holdings, self._reader, self._fingerprint_secret)
        )
        faults = (*reading.faults, *snapshot.faults)
        if self._had_keys and not snapshot.keys and not faults:
            message = "has no keys any more: what it had stays in use until it has some again"
            faults = (SourceFault(_NAME, f"{message}, or the broker is restarted"),)
        self._had_keys = self._had_keys or bool(snapshot.keys)
        self._holdings = reading.unread | reading.holdings
        self._missed = reading.missed
        return replace(snapshot, faults=faults)

    async def _look_back(self, holdings: Sequence[Holding]) -> None:
        """Ask what new versions replaced, as far as AWS tells soon."""
        asking = [
            asyncio.create_task(self._ask_before(holding))
            for holding in holdings
            if not holding.has_looked_back
        ]
        try:
            if asking:
                await asyncio.wait(asking, timeout=self._previous_s)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask_before(self, holding: Holding) -> None:
        holding.before = await self._api.previous(holding.value.arn)
        holding.has_looked_back = True
