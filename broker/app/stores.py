"""What this replica keeps beyond a request, and where."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf

from broker.adapters.mapped import MappedKeyStore
from broker.adapters.memory import (
    MemoryAgreements,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryKeyStore,
    MemoryLastGoodStore,
    MemoryMarkStore,
    MemorySealedRows,
)
from broker.adapters.seal import AesSealer
from broker.config import Settings
from broker.ports.agreements import Agreements
from broker.ports.changes import ChangeFeed
from broker.ports.clock import Clock
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.mark_store import MarkStore
from broker.ports.sealed_rows import SealedRows
from broker.ports.sealer import RotatingSealer, Sealer
from broker.ports.source_copies import SourceCopies


async def _nothing() -> None:
    """Memory needs no closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores of one replica, and the secrets that are kept beside them.

    `fault` says what is wrong with the database, "" while it works. There are `changes` to hear of
    where several brokers share it, and `copies` of remote sources where the settings say so. Where
    `key_store` reads another system's `table` too, `vault` opens what is in it, and it is looked at
    every `poll_s`. Call `hurry` when callers come who wait for answers.
    """

    kind: str
    clock: Clock
    log: FactLog
    mark_store: MarkStore
    key_store: KeyStore
    last_good: LastGoodStore
    history: EventHistory
    sealer: RotatingSealer
    sealed_rows: SealedRows
    agreements: Agreements
    changes: ChangeFeed | None = None
    copies: SourceCopies | None = None
    lease_secrets: tuple[bytes, ...] = field(repr=False)
    fingerprint_secret: bytes = field(repr=False)
    fault: Callable[[], str] = lambda: ""
    table: MappedKeyStore | None = None
    vault: Sealer | None = None
    poll_s: float = inf
    hurry: Callable[[], None] = lambda: None
    close: Callable[[], Awaitable[None]] = _nothing


def in_memory(settings: Settings, clock: Clock) -> Stores:
    """Stores of a process, which end with it."""
    key_store, last_good = MemoryKeyStore(), MemoryLastGoodStore()
    return Stores(
        kind="memory",
        clock=clock,
        log=MemoryFactLog(clock),
        mark_store=MemoryMarkStore(),
        key_store=key_store,
        last_good=last_good,
        history=MemoryEventHistory(),
        sealer=AesSealer.of_keys(secrets.token_bytes(32)),
        sealed_rows=MemorySealedRows(key_store, last_good),
        agreements=MemoryAgreements(),
        lease_secrets=lease_secrets(settings) or (secrets.token_bytes(32),),
        fingerprint_secret=fingerprint_secret(settings) or secrets.token_bytes(32),
    )


def lease_secrets(settings: Settings) -> tuple[bytes, ...]:
    """Those that are set."""
    return tuple(secret.get_secret_value().encode() for secret in settings.lease_secrets)


def fingerprint_secret(settings: Settings) -> bytes:
    """The one that is set, or b""."""
    given = settings.fingerprint_secret
    return given.get_secret_value().encode() if given else b""
