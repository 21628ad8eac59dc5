"""Which sealing key the brokers on one database agreed on, and who of them lacks which."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from broker.ports.agreements import Agreements, Attendance
from broker.ports.clock import Clock
from broker.services.attendance import PRESENT_S
from broker.services.errors import SealingKeyMissingError

SEALING_KEY: Final = "sealing_key"
"""The agreement on the key that seals."""

SEAL_ROTATION: Final = "seal_rotation"
"""The agreement on the key that everything is being sealed with anew; "" when that is done."""

TAKES_UP_S: Final = 12.0
"""How long a broker may take to find a key that was just given to it, and to say so."""


@dataclass(frozen=True, slots=True)
class SealFleet:
    """The brokers on one database as sealing sees them; raises StoreUnavailableError."""

    agreements: Agreements
    clock: Clock
    replica: str
    is_shared: bool

    async def others(self) -> Collection[Attendance]:
        """The other brokers that run on this database."""
        present = await self.agreements.present(self.clock.now() - PRESENT_S)
        return [each for each in present if each.replica != self.replica]

    async def check_all_have(self, key_id: str) -> None:
        """Raise SealingKeyMissingError unless every other broker can open with a key.

        Those that were given it just now have a moment to find it.
        """
        ends = self.clock.now() + TAKES_UP_S
        while lacking := [o.replica for o in await self.others() if key_id not in o.sealing_keys]:
            if self.clock.now() >= ends:
                names = ", ".join(sorted(lacking))
                message = (
                    f"sealing key {key_id} is not at hand at {names}: give it to every broker on"
                    " this database first"
                )
                raise SealingKeyMissingError(key_id, lacking, message)
            await self.clock.sleep(1.0)

    async def agreed(self) -> str:
        """The key that seals; "" where nothing was agreed."""
        return await self.agreements.get(SEALING_KEY) or ""

    async def agree(self, key_id: str) -> None:
        """Have a key seal everywhere, within a second."""
        await self.agreements.put(SEALING_KEY, key_id)

    async def agree_first(self, key_id: str) -> str:
        """Have a key seal unless another one was agreed on; the one that does."""
        return await self.agreements.put_first(SEALING_KEY, key_id)

    async def unfinished(self) -> str:
        """The key of a rotation that was broken off; "" where none was."""
        return await self.agreements.get(SEAL_ROTATION) or ""

    async def begin_rotation(self, key_id: str) -> None:
        """Have a key seal everywhere, and a rotation to it go on after a restart."""
        await self.agreements.put(SEAL_ROTATION, key_id)
        await self.agree(key_id)

    async def end_rotation(self) -> None:
        """The rotation is done."""
        await self.agreements.put(SEAL_ROTATION, "")
