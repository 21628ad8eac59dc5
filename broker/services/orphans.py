"""Health of system keys that went while no broker ran: it belongs to nobody any more."""

from dataclasses import dataclass

from broker.core.key import is_system_id
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.retirement import RETIRE_AFTER_S, retirement


@dataclass(slots=True)
class Orphans:
    """Retires, once after the start at `began`, the revisions that no source knows any more."""

    keyring: Keyring
    health: HealthBook
    last_goods: LastGoods
    began: float
    is_done: bool = False

    async def retire(self, now: float) -> None:
        """Do so if it is time; call it when the sources have given all that they will."""
        if self.is_done or now - self.began < RETIRE_AFTER_S or not self.last_goods.was_read:
            return
        self.is_done = True
        scopes = {record.scope for record in self.health.circuits() if record.scope.key_id}
        names = {(scope.provider, scope.key_id, scope.revision) for scope in scopes}
        await self.health.submit(
            retirement(self.health.replica, *name)
            for name in sorted(names)
            if is_system_id(name[1]) and not self._may_be_used(*name[1:])
        )

    def _may_be_used(self, key_id: str, revision: str) -> bool:
        """Is the revision here, or may it yet be opened: then it must still be quarantined."""
        return self.keyring.holds(key_id, revision) or self.last_goods.awaits(key_id, revision)
