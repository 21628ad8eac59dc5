"""The start with more than one secret of a key: nothing is leased before it is known which works.

So a broker that is restarted on a wrong secret costs no call, nor does one that is restarted on a
right one while what worked in its last run was revoked.
"""

import asyncio

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.core.words import Provenance
from broker.ports.clock import Clock
from broker.ports.prober import Probed
from broker.services.keyring import Keyring
from broker.services.probing import Probing
from broker.services.rotating import Rotating

PATIENCE_S = 3.0
"""How long a start waits for that: what no probe tells by then is found out while it serves."""


class Deciding:
    """Waits until probes have told which revision of each key has to serve."""

    def __init__(
        self, keyring: Keyring, rotating: Rotating, probing: Probing, clock: Clock
    ) -> None:
        self._keyring = keyring
        self._rotating = rotating
        self._probing = probing
        self._clock = clock
        self._probed = asyncio.Event()
        probing.listen(self._note_probed)

    async def wait(self, at_most_s: float = PATIENCE_S) -> None:
        """Wait for it; the sources must have been read, and probes run."""
        until = self._clock.now() + at_most_s
        while any(map(self._is_undecided, self._keyring.incoming())):
            if self._clock.now() >= until:
                return
            self._probed.clear()
            late = asyncio.ensure_future(self._clock.sleep(until - self._clock.now()))
            probed = asyncio.ensure_future(self._probed.wait())
            try:
                await asyncio.wait({late, probed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                late.cancel()
                probed.cancel()

    def _note_probed(self, _key: Key, _probed: Probed) -> None:
        self._probed.set()

    def _is_undecided(self, held: HeldKey) -> bool:
        is_system = held.key.provenance is Provenance.SYSTEM
        return (
            is_system
            and self._probing.proves(held.key)
            and held.is_undecided(self._rotating.is_rejected)
        )
