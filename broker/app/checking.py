"""Testing all system keys without a broker: the same sources, the same probes, no server."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from broker.adapters.aws import AwsClients
from broker.adapters.http import HttpProber
from broker.adapters.system import SystemClock
from broker.app.sources import key_sources
from broker.app.tenant_table import tenant_table_faults
from broker.catalog import load_catalog
from broker.config import Settings, configured_providers
from broker.core.key import Key
from broker.ports.clock import Clock
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import KeySource, SourceFault
from broker.ports.prober import Probed, Prober
from broker.services.keyring import Keyring
from broker.services.probe_line import Lane, ProbeLine


@dataclass(frozen=True, slots=True)
class Reading:
    """The keys that a broker would have, and everything that is wrong with their sources."""

    keys: tuple[Key, ...]
    faults: tuple[SourceFault, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One key's probe, and how many seconds it took."""

    key: Key
    probed: Probed
    elapsed_s: float


class Checking:
    """Reads and probes what a broker with these settings would; close it in the end."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        sources: Sequence[KeySource] | None = None,
        prober: Prober | None = None,
        clock: Clock | None = None,
    ) -> None:
        """What the keywords give stands in for the real thing."""
        self._settings = settings
        self.providers = configured_providers(settings, load_catalog())
        self._aws = AwsClients()
        self._sources = sources or key_sources(
            settings, environ, self.providers, _fingerprint_secret(settings), self._aws
        )
        self._prober = prober or HttpProber(settings.probe_timeout_seconds)
        self._clock = clock or SystemClock()

    async def read(self) -> Reading:
        """Read every source once; one that cannot be read is a fault, as is a table of tenants'."""
        keyring, faults = Keyring(self.providers), []
        for source in self._sources:
            try:
                snapshot = await source.load()
            except SourceUnavailableError as error:
                faults.append(SourceFault(source.name, str(error)))
            else:
                faults += keyring.replace(source.name, snapshot).faults
        faults += await tenant_table_faults(self._settings, self.providers)
        return Reading(tuple(keyring.keys()), tuple(faults))

    async def probe(self, keys: Sequence[Key]) -> AsyncGenerator[Checked, None]:
        """Probe each key at the pace of a broker, and tell of it as it is done."""
        lines = {name: ProbeLine(self._clock) for name in {key.provider for key in keys}}
        tasks = [asyncio.create_task(self._probe(lines[key.provider], key)) for key in keys]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for line in lines.values():
                line.close()

    async def close(self) -> None:
        """Release connections."""
        await self._prober.close()
        await self._aws.close()

    async def _probe(self, line: ProbeLine, key: Key) -> Checked:
        async with line.turn((key.key_id, key.revision), Lane.OPERATOR):
            began = self._clock.now()
            probed = await self._prober.probe(key, self.providers[key.provider])
        return Checked(key, probed, self._clock.now() - began)


def _fingerprint_secret(settings: Settings) -> bytes:
    """Where none is set a broker has one beside its database; here names need not last."""
    given = settings.fingerprint_secret
    return given.get_secret_value().encode() if given else secrets.token_bytes(32)
