"""What follows from a mark, whichever broker set or lifted it."""

from dataclasses import dataclass

from broker.core.scope import key_scope
from broker.ports.mark_store import Mark, MarkKind
from broker.services.ending import Ending
from broker.services.keyring import Keyring
from broker.services.lease_book import LeaseBook
from broker.services.marks import Marks
from broker.services.watching import Watching

_REVOKE = {MarkKind.KEY_REVOKED, MarkKind.TENANT_REVOKED, MarkKind.PRINCIPAL_REVOKED}


@dataclass(frozen=True, slots=True)
class MarkEffects:
    """Has decisions, holders and leases of this broker follow the marks."""

    keyring: Keyring
    marks: Marks
    watching: Watching
    book: LeaseBook
    ending: Ending

    async def reload(self) -> None:
        """Read the marks anew; what other brokers changed is in force. Take the marks' turn.

        Raises StoreUnavailableError.
        """
        changes = await self.marks.load()
        for mark in changes.lifted:
            self.lifted(mark)
        await self.put(*changes.put)

    async def put(self, *marks: Mark) -> None:
        """These marks are in force now."""
        for mark in marks:
            self._look_anew(mark)
            self.watching.on_mark(mark)
        if any(mark.kind in _REVOKE for mark in marks):
            await self._end_revoked()

    def lifted(self, mark: Mark) -> None:
        """A mark is in force no more."""
        self._look_anew(mark)
        self.watching.on_mark_lifted(mark)

    async def _end_revoked(self) -> None:
        """End the leases that are revoked."""
        for live in list(self.book):
            if self.marks.is_revoked(live.claims):
                await self.ending.return_trials(live.claims, live.permits)
                await self.ending.end(live.claims, "revoked")

    def _look_anew(self, mark: Mark) -> None:
        """A pool may have set the key aside for what is no longer, or not the only, reason."""
        key = self.keyring.find(mark.subject) if mark.kind is MarkKind.KEY_DISABLED else None
        if key is not None:
            self.keyring.touch(key_scope(key.provider, key.key_id, ""))
