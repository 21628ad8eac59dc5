"""What a reading of a source changes: it takes effect at once, and what is gone leaves no trace."""

from collections.abc import Iterable, Mapping

from broker.core.key import Key
from broker.core.revisions import HeldKey
from broker.ports.clock import Clock
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.readings import Refreshed
from broker.services.retirement import RETIRE_AFTER_S
from broker.services.rotating import Rotating
from broker.services.source_reading import SourceReading
from broker.services.spans import in_words
from broker.services.watching import Watching

MAX_TOLD = 20
"""Faults of one reading that become events; status shows them all."""


class SourceChanges:
    """Follows readings up; none of it waits for anything, so that readings do not mix."""

    def __init__(
        self,
        keyring: Keyring,
        watching: Watching,
        rotating: Rotating,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._keyring = keyring
        self._watching = watching
        self._rotating = rotating
        self._journal = journal
        self._clock = clock
        self._gone = dict[str, tuple[HeldKey, float]]()

    @property
    def awaits_return(self) -> bool:
        """Are there keys that went a moment ago, and may come back?"""
        return bool(self._gone)

    def follow_up(
        self, source: str, refreshed: Refreshed, versions: Mapping[str, str], *, is_first: bool
    ) -> None:
        """Have new secrets proved, let go of what is gone, say what changed.

        What the first reading finds is counted by those who call: each key by name would be told at
        every start.
        """
        now = self._clock.now()
        self._rotating.retire(refreshed.dropped)
        for held in refreshed.gone:
            self._gone[held.key.key_id] = held, now
        for key in refreshed.added:
            self._come_back(key)
        for key in refreshed.removed:
            self._watching.on_removed(key.provider, key.key_id, "")
        rotated = [new for old, new in refreshed.changed if old.revision != new.revision]
        if not is_first:
            self._tell("key_added", source, refreshed.added, versions)
        self._tell("key_rotated", source, rotated, versions)
        self._tell("key_removed", source, refreshed.removed, {})
        for key in rotated:
            self._rotating.noticed(key.key_id)

    def retire_gone(self) -> None:
        """Forget the keys that were removed a while ago and did not come back."""
        now = self._clock.now()
        due = [key_id for key_id, (_, at) in self._gone.items() if now - at >= RETIRE_AFTER_S]
        for key_id in due:
            held, _ = self._gone.pop(key_id)
            self._rotating.retire(revision.key for revision in held.revisions)

    def tell_started(
        self, source: str, key_count: int, cause: str = "", copy_age_s: float = 0.0
    ) -> None:
        """Say with how many keys; where a `cause` keeps the source from being read, from a copy."""
        kind, keys = "source_read", "one key" if key_count == 1 else f"{key_count} keys"
        message = f"{source}: started with {keys}"
        if cause:
            kind = "source_from_copy"
            message += f" of a copy that is {in_words(copy_age_s)} old: {cause}"
        self._journal.record(kind, "", self._clock.now(), message)

    def tell_faults(self, reading: SourceReading, last: SourceReading | None) -> None:
        """Say what is wrong with a source, once per fault, and that nothing is any more."""
        known = set(last.refreshed.faults) if last else set()
        if known and not reading.refreshed.faults:
            message = f"{reading.source}: every fault is mended"
            self._journal.record("source_mended", "", self._clock.now(), message)
        news = [fault for fault in reading.refreshed.faults if fault not in known]
        messages = [f"{fault.place}: {fault.message}" for fault in news[:MAX_TOLD]]
        if len(news) > MAX_TOLD:
            messages.append(f"{reading.source}: {len(news) - MAX_TOLD} more faults")
        for message in messages:
            self._journal.record("source_faulty", "", self._clock.now(), message)

    def _come_back(self, key: Key) -> None:
        """A key that was removed a moment ago goes on from the revision that was in use."""
        held, _ = self._gone.pop(key.key_id, (None, 0.0))
        if held is not None and held.key.provider == key.provider:
            self._keyring.take(held.declaring(key))
            self._rotating.noticed(key.key_id)

    def _tell(
        self, kind: str, source: str, keys: Iterable[Key], versions: Mapping[str, str]
    ) -> None:
        for key in keys:
            version = versions.get(key.key_id, "")
            attributes = {"source": source, "revision": key.revision}
            if version:
                attributes["version"] = version
            self._journal.record(
                kind,
                key.provider,
                self._clock.now(),
                f"{key.key_id}: {kind.removeprefix('key_')} in {source}"
                + (f", version {version}" if version else ""),
                key_id=key.key_id,
                attributes=attributes,
            )
