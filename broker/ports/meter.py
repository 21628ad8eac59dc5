"""Counting what happens, without knowing who reads the counters."""

from typing import Protocol

from broker.core.words import DenialReason, Family, Kind, ProbeResult, Provenance, State


class Meter(Protocol):
    """Counters of the broker; no method blocks or raises."""

    def granted(self, provider: str, model: str, provenance: Provenance) -> None:
        """A lease was granted."""
        ...

    def ended(self, how: str) -> None:
        """A lease ended: reported, released, expired or revoked."""
        ...

    def denied(self, provider: str, reason: DenialReason) -> None:
        """An acquire was denied."""
        ...

    def acquired_in(self, seconds: float) -> None:
        """An acquire was answered, granted or denied, after this long."""
        ...

    def judged(self, provider: str, model: str, kind: Kind) -> None:
        """An outcome was reported and judged."""
        ...

    def judged_unknown(self, provider: str, http_status: int) -> None:
        """No rule matched an outcome."""
        ...

    def transitioned(
        self, provider: str, family: Family, before: State, after: State, reason: str
    ) -> None:
        """A circuit changed state by a fact of this replica."""
        ...

    def recovered(self, family: Family, healed_by: str, open_s: float) -> None:
        """A circuit began to heal, this long after it first opened."""
        ...

    def probed(self, provider: str, result: ProbeResult) -> None:
        """A probe ended."""
        ...

    def tried_keys(self, keys: int) -> None:
        """A request's chain ended after this many keys."""
        ...

    def served_from_cache(self, provider: str, model: str, hits: int) -> None:
        """A gateway answered from its own cache: no provider was called."""
        ...
