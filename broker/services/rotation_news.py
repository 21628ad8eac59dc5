"""What people are told of rotations, each thing once."""

from collections.abc import Callable

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.ports.clock import Clock
from broker.services.journal import Journal
from broker.services.keyring import Keyring

Name = tuple[str, str]
"""(key id, revision)."""


class RotationNews:
    """Events of rotations, with how long they took since the new secret was noticed."""

    def __init__(self, keyring: Keyring, journal: Journal, clock: Clock) -> None:
        self._keyring = keyring
        self._journal = journal
        self._clock = clock
        self._noticed: dict[Name, float] = {}
        self._rejected: set[Name] = set()

    def noticed(self, key: Key) -> None:
        """A new secret was given: what was told of it before may be told again."""
        name = (key.key_id, key.revision)
        self._noticed[name] = self._clock.now()
        self._rejected.discard(name)

    def adopted(self, before: Key, held: HeldKey) -> None:
        """Another revision is in use now."""
        key, name = held.key, (held.key.key_id, held.in_use)
        attributes = {"revision": key.revision, "replaced": before.revision}
        message = f"{key.key_id}: revision {key.revision} serves in place of {before.revision}"
        noticed_at = self._noticed.pop(name, None)
        if noticed_at is not None:
            elapsed_s = max(self._clock.now() - noticed_at, 0.0)
            attributes["elapsed_s"] = f"{elapsed_s:.3f}"
            message += f", {elapsed_s:.1f} s after it was noticed"
        found = held.find(held.in_use)
        if found is not None and not found.is_proven:
            attributes["proven"] = "false"
            is_probeable = self._keyring.providers[key.provider].is_probeable
            message += "; " + (
                "probes prove nothing of it, but the other is rejected"
                if is_probeable
                else "no probe of this provider could prove it"
            )
        self._record("revision_adopted", key, message, attributes)

    def rejected(self, key: Key, in_use: Key, *, is_in_use_rejected: bool) -> None:
        """A new secret is none: the one in use stays."""
        name = (key.key_id, key.revision)
        if name in self._rejected:
            return
        self._rejected.add(name)
        source = self._keyring.source_of(key.key_id)
        message = (
            f"{key.key_id}: the provider rejects the new secret, revision {key.revision};"
            f" {in_use.revision} stays in use"
            f"{', which is rejected as well' if is_in_use_rejected else ''}:"
            f" {f'mend it in {source}' if source else 'rotate the key to the right one'}"
        )
        attributes = {"revision": key.revision, "in_use": in_use.revision, "source": source}
        self._record("revision_rejected", key, message, attributes)

    def restored(self, held: HeldKey, *, is_rejected: bool) -> None:
        """The secret that is declared is not the one that worked in the last run."""
        key, declared = held.key, held.newest.revision
        self._noticed[key.key_id, declared] = self._clock.now()
        source = self._keyring.source_of(key.key_id)
        message = (
            f"{key.key_id}: its secret, revision {declared}, was rejected in the last run;"
            f" {key.revision}, which worked then, serves: mend it in {source}"
            if is_rejected
            else f"{key.key_id}: its secret is new since the last run; revision {key.revision},"
            f" which worked then, serves until {declared} is proved"
        )
        attributes = {"revision": key.revision, "declared": declared}
        self._record("revision_restored", key, message, attributes)

    def forget(self, is_held: Callable[[str, str], bool]) -> None:
        """Forget what was told of revisions that are known no more."""
        self._noticed = {name: at for name, at in self._noticed.items() if is_held(*name)}
        self._rejected = {name for name in self._rejected if is_held(*name)}

    def _record(self, kind: str, key: Key, message: str, attributes: dict[str, str]) -> None:
        now = self._clock.now()
        self._journal.record(
            kind, key.provider, now, message, key_id=key.key_id, attributes=attributes
        )
