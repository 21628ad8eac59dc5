"""Reminders of keys that expire: a week before (a setting), a day before, and when it is so.

Each stage is told once per revision and expiry, also across restarts: the event history says what
was told. A key that is first seen late is reminded of at its present stage only.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b

import structlog

from broker.core.key import Key
from broker.core.policy import DAY_S, HOUR_S, MINUTE_S
from broker.ports.errors import StoreUnavailableError
from broker.ports.event_history import EventHistory
from broker.ports.key_store import KeyStore, StoredKey
from broker.services.history import told
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.spans import in_words

DAYS_AHEAD = 7.0
PAGE = 500
"""Tenants' keys that are read at a time."""

_KINDS = frozenset({"key_expiring", "key_expired"})

log = structlog.get_logger("keybroker")


class Stage(StrEnum):
    """How far a key is on its way out."""

    AHEAD = "ahead"
    DAY = "day"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Expiry:
    """A revision of a key and when it expires; `owner` is "" for system keys."""

    key_id: str
    revision: str
    provider: str
    owner: str
    expires_at: datetime

    @classmethod
    def of(cls, key: Key) -> "Expiry | None":
        """That of a system key, or None when it does not expire."""
        if key.expires_at is None:
            return None
        return cls(key.key_id, key.revision, key.provider, key.owner, key.expires_at)

    @classmethod
    def of_stored(cls, key: StoredKey) -> "Expiry | None":
        """That of a tenant's key, or None when it does not expire."""
        expires_at = key.settings.expires_at
        if expires_at is None:
            return None
        revision = key.revisions[0].revision
        return cls(key.key_id, revision, key.provider, key.tenant, expires_at)

    @property
    def epoch_s(self) -> float:
        """The epoch second at which it expires; one without a zone is in UTC."""
        has_zone = self.expires_at.tzinfo is not None
        return (self.expires_at if has_zone else self.expires_at.replace(tzinfo=UTC)).timestamp()

    def stage(self, now: float, ahead_s: float) -> Stage | None:
        """The stage it has reached; None while there is time."""
        left_s = self.epoch_s - now
        if left_s <= 0:
            return Stage.EXPIRED
        if left_s <= min(DAY_S, ahead_s):
            return Stage.DAY
        return Stage.AHEAD if left_s <= ahead_s else None


class Reminding:
    """Looks at system keys each minute and at tenants' once an hour."""

    def __init__(
        self,
        keyring: Keyring,
        store: KeyStore,
        history: EventHistory,
        journal: Journal,
        days_ahead: float = DAYS_AHEAD,
    ) -> None:
        self._keyring = keyring
        self._store = store
        self._history = history
        self._journal = journal
        self._ahead_s = days_ahead * DAY_S
        self._told: set[bytes] | None = None
        self._next_look = 0.0
        self._next_tour = 0.0

    async def on_tick(self, now: float) -> None:
        """Remind of what has reached a stage that was not told yet."""
        if now < self._next_look:
            return
        self._next_look = now + MINUTE_S
        try:
            for expiry in map(Expiry.of, self._keyring.keys()):
                await self._look(expiry, now)
            if now >= self._next_tour:
                await self._tour(now)
                self._next_tour = now + HOUR_S
        except StoreUnavailableError as error:
            log.warning("reminders_wait", detail=str(error))

    def expiring(self, now: float) -> Iterator[tuple[Expiry, Stage]]:
        """The system keys that are at some stage now, the most urgent first."""
        found = [expiry for expiry in map(Expiry.of, self._keyring.keys()) if expiry is not None]
        for expiry in sorted(found, key=lambda expiry: (expiry.epoch_s, expiry.key_id)):
            stage = expiry.stage(now, self._ahead_s)
            if stage is not None:
                yield expiry, stage

    async def _tour(self, now: float) -> None:
        """Look at the tenants' keys that expire soon, page by page; others run in between."""
        after, by = ("", ""), now + self._ahead_s
        while page := await self._store.page(after=after, limit=PAGE, expires_by=by):
            for stored in page:
                await self._look(Expiry.of_stored(stored), now)
            after = (page[-1].provider, page[-1].key_id)
            await asyncio.sleep(0)

    async def _look(self, expiry: Expiry | None, now: float) -> None:
        stage = expiry.stage(now, self._ahead_s) if expiry is not None else None
        if expiry is None or stage is None:
            return
        if self._told is None:
            self._told = await self._recall()
        mark = _mark(expiry.key_id, expiry.revision, _date(expiry.epoch_s), stage)
        if mark not in self._told:
            self._told.add(mark)
            self._tell(expiry, stage, now)

    async def _recall(self) -> set[bytes]:
        """What the history says was told."""
        marks = set()
        async for event in told(self._history, _KINDS):
            said = event.attributes
            revision, date = said.get("revision", ""), said.get("expires_at", "")
            marks.add(_mark(event.key_id, revision, date, said.get("stage", "")))
        return marks

    def _tell(self, expiry: Expiry, stage: Stage, now: float) -> None:
        date = _date(expiry.epoch_s)
        left = in_words(abs(expiry.epoch_s - now))
        is_over = stage is Stage.EXPIRED
        when = f"expired {left} ago" if is_over else f"expires in {left}"
        attributes = {
            "expires_at": date,
            "revision": expiry.revision,
            "stage": stage.value,
            "owner": expiry.owner,
            "provenance": "TENANT" if expiry.owner else "SYSTEM",
        }
        self._journal.record(
            "key_expired" if is_over else "key_expiring",
            expiry.provider,
            now,
            f"{expiry.key_id} {when}, at {date}: replace it",
            key_id=expiry.key_id,
            attributes=attributes,
        )


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _mark(*said: str) -> bytes:
    """A short name of what was told: there may be as many as tenants have keys."""
    return blake2b("\n".join(said).encode(), digest_size=8).digest()
