"""What a broker pushes to holders of leases: deaths, recoveries, and when to start anew."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from keybroker.grant import Grant, instant
from keybroker.steps import backoff
from keybroker.v1 import lease_pb2
from keybroker.words import DeathCause, read_word

WATCH_S: Final = 3600.0
"""How long one stream lasts at most: nothing is missed by beginning another."""


@dataclass(frozen=True, slots=True)
class Death:
    """Leases that match every field which is set must not be used for new requests."""

    cause: DeathCause
    provider: str = ""
    key_id: str = ""
    revision: str = ""
    model: str = ""
    tenant: str = ""
    granted_before: datetime | None = None

    def concerns(self, grant: Grant, tenant: str) -> bool:
        """Is it about this lease?"""
        pairs = (
            (self.provider, grant.target.provider),
            (self.key_id, grant.key_id),
            (self.revision, grant.revision),
            (self.model, grant.target.model),
            (self.tenant, tenant),
        )
        is_older = self.granted_before is None or grant.granted_at < self.granted_before
        return is_older and all(mine in {"", theirs} for mine, theirs in pairs)

    def is_over_by(self, recovery: lease_pb2.Recovery) -> bool:
        """Does the recovery end this very death?"""
        mine = (self.provider, self.key_id, self.revision, self.model)
        theirs = (recovery.provider, recovery.key_id, recovery.revision, recovery.model)
        return mine == theirs and self.cause is _cause(recovery.cause)

    @staticmethod
    def read(message: lease_pb2.Death) -> "Death":
        """The death in a message."""
        before = message.granted_before if message.HasField("granted_before") else None
        return Death(
            cause=_cause(message.cause),
            provider=message.provider,
            key_id=message.key_id,
            revision=message.revision,
            model=message.model,
            tenant=message.tenant_id,
            granted_before=None if before is None else instant(before),
        )


class Listener(Protocol):
    """A holder of leases."""

    def begin_anew(self) -> None:
        """Forget deaths that were told before; those that stand follow."""

    def hear_death(self, death: Death) -> None:
        """Drop what it concerns."""

    def hear_recovery(self, recovery: lease_pb2.Recovery) -> None:
        """Forget the death that is over."""

    def hear_nothing(self) -> None:
        """From now on no death is told until it is all told anew."""


class Board:
    """Passes news on to those who hold leases; knows whether news come at all. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self.is_live = False

    def join(self, listener: Listener) -> None:
        """Pass news on to it from now on."""
        with self._lock:
            self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """No more news to it."""
        with self._lock:
            self._listeners.discard(listener)

    def hear(self, message: lease_pb2.WatchKeysResponse) -> None:
        """Pass one piece of news on; what a newer broker tells and nobody knows is skipped."""
        kind = message.WhichOneof("news")
        with self._lock:
            listeners = tuple(self._listeners)
            self.is_live = self.is_live or kind == "synced"
        for listener in listeners:
            if kind == "synced":
                listener.begin_anew()
            elif kind == "death":
                listener.hear_death(Death.read(message.death))
            elif kind == "recovery":
                listener.hear_recovery(message.recovery)

    def lost(self) -> None:
        """No news come until the next `synced`."""
        with self._lock:
            listeners = tuple(self._listeners)
            self.is_live = False
        for listener in listeners:
            listener.hear_nothing()


def pauses() -> Iterator[float]:
    """How long to wait before the next stream; from the beginning after one that brought news."""
    return backoff(0.1, 5.0)


def _cause(number: int) -> DeathCause:
    return read_word(DeathCause, lease_pb2.DeathCause, number)
