"""Slow start: how many leases this replica granted over each ramping circuit."""

from broker.core.admission import Block
from broker.core.circuit import Circuit
from broker.core.scope import Scope
from broker.core.words import DenialReason, Family


class RampLedger:
    """Leases granted per ramp, here; a ramp is one circuit since one reopening."""

    def __init__(self) -> None:
        self._granted: dict[tuple[Scope, Family], tuple[float, int]] = {}

    def block(self, ramps: tuple[Circuit, ...], now: float) -> Block | None:
        """AT_CAPACITY until the step ends, when a ramp's allowance is used up; else None."""
        waits = [
            ramp.ramp_step_ends(now)
            for ramp in ramps
            if self._count(ramp, now) >= ramp.ramp_allowance(now)
        ]
        return Block(DenialReason.AT_CAPACITY, max(waits)) if waits else None

    def note_grant(self, ramps: tuple[Circuit, ...], now: float) -> None:
        """Count one lease against every ramp over it."""
        for ramp in ramps:
            began = ramp.standing(now).began
            self._granted[ramp.scope, ramp.family] = (began, self._count(ramp, now) + 1)

    def sweep(self, live: set[tuple[Scope, Family]]) -> None:
        """Forget ramps whose records are gone."""
        self._granted = {ramp: spent for ramp, spent in self._granted.items() if ramp in live}

    def _count(self, ramp: Circuit, now: float) -> int:
        began, count = self._granted.get((ramp.scope, ramp.family), (0.0, 0))
        return count if began == ramp.standing(now).began else 0
