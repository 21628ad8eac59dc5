"""Health of system keys that went while no broker ran: it belongs to nobody any more."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.core.key import is_system_id
from broker.core.policy import DAY_S
from broker.services.health import HealthBook
from broker.services.keyring import Keyring
from broker.services.last_goods import LastGoods
from broker.services.retirement import RETIRE_AFTER_S, retirement

UNTRIED_S = DAY_S
"""What another broker holds it has probed at the latest when its circuit's time is over."""

SHARED_EVERY_S = 3600.0
"""How often a log that others share is looked through."""

Name = tuple[str, str, str]
"""(provider, key id, revision)."""


@dataclass(slots=True)
class Orphans:
    """Retires the revisions that no source knows any more, once after the start at `began`.

    Where other brokers share the log (`is_shared`), what is unknown here may be theirs: it is
    retired when nobody has tried it for a day, and looked for now and then.
    """

    keyring: Keyring
    health: HealthBook
    last_goods: LastGoods
    began: float
    is_shared: bool = False
    looked_at: float | None = None

    def retire(self, now: float) -> None:
        """Do so if it is time; call it when the sources have given all that they will."""
        if now - self.began < RETIRE_AFTER_S or not self.last_goods.was_read:
            return
        if self.looked_at is not None and not self._is_due_again(self.looked_at, now):
            return
        self.looked_at = now
        self.health.post(
            retirement(self.health.replica, *name) for name in sorted(self._orphans(now))
        )

    def _is_due_again(self, looked_at: float, now: float) -> bool:
        return self.is_shared and now - looked_at >= SHARED_EVERY_S

    def _orphans(self, now: float) -> Iterator[Name]:
        tried_at: dict[Name, float] = {}
        for record in self.health.circuits():
            scope = record.scope
            if is_system_id(scope.key_id) and not self._may_be_used(scope.key_id, scope.revision):
                name = (scope.provider, scope.key_id, scope.revision)
                tried_at[name] = max(tried_at.get(name, 0.0), record.until)
        for name, at in tried_at.items():
            if not self.is_shared or now - at >= UNTRIED_S:
                yield name

    def _may_be_used(self, key_id: str, revision: str) -> bool:
        """Is the revision here, or may it yet be opened: then it must still be quarantined."""
        return self.keyring.holds(key_id, revision) or self.last_goods.awaits(key_id, revision)
