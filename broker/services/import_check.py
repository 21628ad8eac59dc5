"""What was found in one import: its keys, what is wrong with lines, and what was seen where."""

from collections import Counter

from broker.ports.key_store import KeyNames, StoredKey
from broker.services.errors import ImportTooLargeError
from broker.services.import_lines import LineFault, Progress
from broker.services.pending_keys import PendingKeys

MAX_KEYS = 100_000

MAX_BYTES = 128 * 1024 * 1024
"""Of all messages of an import together: what it holds until the end."""

MAX_TOLD = 1000


class ImportCheck:
    """Grows line by line; nothing in it is a secret."""

    def __init__(self) -> None:
        self.keys = PendingKeys()
        self.tenants: set[str] = set()
        self.by_provider: Counter[str] = Counter()
        self.dry_run = False
        self.checked = 0
        self.faults = 0
        self._size = 0
        self._new: list[LineFault] = []
        self._lines: dict[str, int] = {}
        self._holders: dict[str, int] = {}

    def weigh(self, size: int) -> None:
        """Some more bytes came. Raises ImportTooLargeError."""
        self._size += size
        if self._size > MAX_BYTES:
            raise ImportTooLargeError(MAX_BYTES, "bytes")

    def count(self, number: int) -> int:
        """One more line came: its number for faults. Raises ImportTooLargeError."""
        self.checked += 1
        if self.checked > MAX_KEYS:
            raise ImportTooLargeError(MAX_KEYS)
        return number or self.checked

    def blame(self, line: int, message: str) -> None:
        """Note what is wrong on a line."""
        self.faults += 1
        if self.faults <= MAX_TOLD:
            self._new.append(LineFault(line, message))

    def is_new(self, line: int, names: KeyNames) -> bool:
        """Are id and secrets new within the import? If not, that is noted."""
        if names.key_id in self._lines:
            self.blame(line, f"key_id: line {self._lines[names.key_id]} has the same")
            return False
        self._lines[names.key_id] = line
        for revision in names.revisions:
            # Names have no control characters.
            name = f"{names.tenant}\n{names.provider}\n{revision}"
            if name in self._holders:
                where = f"line {self._holders[name]}"
                self.blame(line, f"secret: {where} has the same for this tenant and provider")
                return False
            self._holders[name] = line
        return True

    def blame_clash(self, wanted: str, holder: str) -> None:
        """Note that a kept key is in the way of one of this import."""
        line = self._lines.get(wanted, 0)
        if wanted == holder:
            self.blame(line, f"key_id: there is a key {wanted!r} already")
        else:
            who = f"key {holder!r} of this tenant and provider"
            self.blame(line, f"secret: {who} has the same already")

    def keep(self, key: StoredKey) -> None:
        """A key is ready to be kept, if all others are."""
        self.keys.append(key)
        self.tenants.add(key.tenant)
        self.by_provider[key.provider] += 1

    def has(self, key_id: str) -> bool:
        """Is it the id of one of the keys?"""
        return key_id in self._lines

    def progress(self) -> Progress:
        """How far it is, with the faults that are not told yet."""
        return Progress(self.checked, self._told())

    def done(self, created: int) -> Progress:
        """How it ended."""
        untold = max(self.faults - MAX_TOLD, 0)
        return Progress(self.checked, self._told(), untold, is_done=True, created=created)

    def _told(self) -> tuple[LineFault, ...]:
        """What is told now, and then no more; secrets are opened side by side, out of order."""
        told, self._new = sorted(self._new, key=lambda fault: fault.line), []
        return tuple(told)
