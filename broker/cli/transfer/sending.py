"""Sends the keys of a file to the broker, and hears what is wrong with them.

Where a line is no key, or the file cannot be read to its end, the stream is broken off instead of
ended: then the broker keeps nothing, and has still told what it found.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue
from typing import Final, TypeAlias

from broker.adapters.sources.fault import Fault
from broker.cli.progress import Count
from broker.cli.session import Session
from broker.cli.transfer.csv_rows import Found
from keybroker.v1 import admin_pb2

MAX_PART_KEYS: Final = 500
MAX_PART_BYTES: Final = 1024 * 1024
"""A message may have 4 MiB, and one key is not longer than a line."""

AHEAD: Final = 4
"""Messages that are sent before the first of them is answered."""

MAX_TOLD: Final = 1000


_Request: TypeAlias = admin_pb2.ImportKeysRequest


@dataclass
class Import:
    """One import: how far it is, and how it went.

    Nothing was created unless it is done and has no faults. From `is_sent` on it may be made,
    whatever becomes of this end.
    """

    tenant: str = ""
    provider: str = ""
    dry_run: bool = False
    is_sent: bool = False
    is_done: bool = False
    created: int = 0
    faults: list[Fault] = field(default_factory=list)
    untold: int = 0
    _sent: int = 0
    _is_broken: bool = False

    def send(self, session: Session, found: Iterable[Found], count: Count) -> None:
        """Send what is found, and wait for the end. Raises CallError, and what reading raises."""
        queue: SimpleQueue[_Request | None] = SimpleQueue()
        try:
            with session.exchange(session.admin.ImportKeys, _until_none(queue)) as answers:
                awaited = 0
                for part in self._parts(found):
                    queue.put(part)
                    awaited += 1
                    if awaited > AHEAD:
                        self._hear(islice(answers, 1), count)
                        awaited -= 1
                if self._is_broken or not self._sent:
                    self._hear(islice(answers, awaited), count)
                    return
                self.is_sent = True
                queue.put(None)
                self._hear(answers, count)
        finally:
            queue.put(None)  # also where nothing was sent to its end: the thread that sends ends

    def _parts(self, found: Iterable[Found]) -> Iterator[_Request]:
        """The keys among what is found as messages; what is wrong with the rest is noted."""
        part, size = _Request(dry_run=self.dry_run), 0
        for key in found:
            if isinstance(key, Fault):
                self._blame(key)
                continue
            if self.provider not in {"", key.provider}:
                continue
            if self.tenant and key.tenant_id not in {"", self.tenant}:
                self._blame(Fault(key.line, "tenant_id: is another than --tenant"))
                continue
            key.tenant_id = self.tenant or key.tenant_id
            size += key.ByteSize()
            if part.keys and (len(part.keys) == MAX_PART_KEYS or size > MAX_PART_BYTES):
                yield part
                part, size = _Request(dry_run=self.dry_run), key.ByteSize()
            part.keys.append(key)
            self._sent += 1
        if part.keys:
            yield part

    def _blame(self, fault: Fault) -> None:
        """Note what is wrong with a line, as the broker must not be told that this was all."""
        self._is_broken = True
        self._note(fault)

    def _hear(self, answers: Iterable[admin_pb2.ImportKeysResponse], count: Count) -> None:
        for answer in answers:
            count(answer.checked_count, self._sent)
            for fault in answer.faults:
                self._note(Fault(fault.line, fault.message))
            self.untold += answer.untold_fault_count
            self.is_done, self.created = answer.done, answer.created_count

    def _note(self, fault: Fault) -> None:
        if len(self.faults) < MAX_TOLD:
            self.faults.append(fault)
        else:
            self.untold += 1


def _until_none(queue: "SimpleQueue[_Request | None]") -> Iterator[_Request]:
    while (request := queue.get()) is not None:
        yield request
