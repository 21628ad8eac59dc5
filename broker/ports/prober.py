"""Testing a key at its provider with a call that costs nothing."""

from dataclasses import dataclass
from typing import Protocol

from broker.core.key import Key
from broker.core.provider import Provider
from broker.core.words import ProbeResult


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found; `reached` says that the provider answered, `models` what it listed.

    `detail` is for operators: a status and a rule, never a body, which could echo the secret.
    """

    result: ProbeResult
    reached: bool
    detail: str
    models: tuple[str, ...] = ()


class Prober(Protocol):
    """Makes probes."""

    async def probe(self, key: Key, provider: Provider) -> Probed:
        """Call the provider once with this key; never raises, ends within its own deadline.

        Follows no redirect, since that would carry the secret elsewhere.
        """
        ...

    async def close(self) -> None:
        """Release connections; later probes are INCONCLUSIVE."""
        ...
