"""What people are told of rotations, each thing once."""

from collections.abc import Callable

from broker.core.facts import RevisionAdopted
from broker.core.key import Key
from broker.core.revisions import HeldKey, Revision
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
        self._unproved: set[Name] = set()
        self._untold: dict[str, tuple[Key, str, dict[str, str]]] = {}

    def noticed(self, key: Key) -> None:
        """A new secret was given: what was told of it before may be told again."""
        name = (key.key_id, key.revision)
        self._noticed[name] = self._clock.now()
        self._rejected.discard(name)
        self._unproved.discard(name)

    def adopted(self, fact: RevisionAdopted, before: Key, held: HeldKey) -> None:
        """Another revision is in use now: to be told when the log has confirmed the fact."""
        key = held.key
        attributes = {"revision": key.revision, "replaced": before.revision}
        message = f"{key.key_id}: revision {key.revision} serves in place of {before.revision}"
        elapsed_s = self._elapsed_s(key)
        self._noticed.pop((key.key_id, key.revision), None)
        if elapsed_s is not None:
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
        self._untold[fact.fact_id] = key, message, attributes

    def confirmed(self, fact: RevisionAdopted, *, is_told: bool) -> None:
        """The log has an adoption of this replica; of several at one time the first tells."""
        told = self._untold.pop(fact.fact_id, None)
        if told is not None and not is_told:
            self._record("revision_adopted", *told)

    def unproved(self, key: Key, in_use: Key, detail: str) -> None:
        """A probe of a new secret proved nothing: the one in use stays, and it is probed again."""
        name = (key.key_id, key.revision)
        if name in self._unproved:
            return
        self._unproved.add(name)
        message = (
            f"{key.key_id}: a probe of the new secret, revision {key.revision}, proved nothing"
            f" ({detail}); {in_use.revision} stays in use, and it is probed again"
        )
        attributes = {"revision": key.revision, "in_use": in_use.revision, "detail": detail}
        self._record("revision_unproved", key, message, attributes)

    def drained(self, revision: Revision) -> None:
        """Nobody can have a lease on an old revision any more; of one never leased no word."""
        if not revision.is_previous:
            name = revision.name
            message = f"{revision.key.key_id}: revision {name} is drained: no lease on it is out"
            self._record("revision_drained", revision.key, message, {"revision": name})

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
        elapsed_s = self._elapsed_s(key)
        if elapsed_s is not None:
            attributes["elapsed_s"] = f"{elapsed_s:.3f}"
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
        self._unproved = {name for name in self._unproved if is_held(*name)}

    def _elapsed_s(self, key: Key) -> float | None:
        """How long ago the revision was noticed."""
        noticed_at = self._noticed.get((key.key_id, key.revision))
        return None if noticed_at is None else max(self._clock.now() - noticed_at, 0.0)

    def _record(self, kind: str, key: Key, message: str, attributes: dict[str, str]) -> None:
        now = self._clock.now()
        self._journal.record(
            kind, key.provider, now, message, key_id=key.key_id, attributes=attributes
        )
