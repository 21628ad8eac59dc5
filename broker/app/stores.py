"""Where this replica keeps what must outlive a request: in memory, or in the database."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from broker.adapters.keyfiles import KeyFile, KeyFileError, Purpose
from broker.adapters.memory import (
    MemoryEventHistory,
    MemoryFactLog,
    MemoryKeyStore,
    MemoryLastGoodStore,
    MemoryMarkStore,
)
from broker.adapters.seal import AesSealer, load_sealer
from broker.adapters.sql import (
    Database,
    SqlEventHistory,
    SqlFactLog,
    SqlKeyStore,
    SqlLastGoodStore,
    SqlMarkStore,
    last_logged_at,
    sealing_keys,
)
from broker.adapters.system import SystemClock
from broker.app.errors import StartError
from broker.config import Settings
from broker.config.stores import database_path
from broker.core.policy import DAY_S
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from broker.ports.event_history import EventHistory
from broker.ports.fact_log import FactLog
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.mark_store import MarkStore
from broker.ports.sealer import Sealer

CLOCK_SLACK_S = 5.0
"""Less than this the wall clock may lag behind the log without a word."""

log = structlog.get_logger("keybroker")


async def _nothing() -> None:
    """Memory needs no closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores of one replica, and the secrets that are kept beside them.

    `fault` says what is wrong with the database, "" while it works.
    """

    kind: str
    clock: Clock
    log: FactLog
    mark_store: MarkStore
    key_store: KeyStore
    last_good: LastGoodStore
    history: EventHistory
    sealer: Sealer
    lease_secrets: tuple[bytes, ...] = field(repr=False)
    fingerprint_secret: bytes = field(repr=False)
    fault: Callable[[], str] = lambda: ""
    close: Callable[[], Awaitable[None]] = _nothing


async def open_stores(settings: Settings, replica: str, clock: Clock | None) -> Stores:
    """The stores that the settings name; raises StartError."""
    path = database_path(settings.database)
    if path is None:
        return _in_memory(settings, clock or SystemClock())
    try:
        database = await Database.open(path, replica)
    except (StoreUnusableError, StoreUnavailableError) as error:
        raise StartError(str(error)) from None
    try:
        return await _in_database(settings, database, clock)
    except (StoreUnusableError, StoreUnavailableError) as error:
        await database.close()
        raise StartError(f"the database {path} cannot be used: {error}") from None
    except BaseException:
        await database.close()
        raise


async def _in_database(settings: Settings, database: Database, clock: Clock | None) -> Stores:
    folder = database.path.parent
    logged_at = await last_logged_at(database)
    clock = clock or SystemClock(not_before=logged_at)
    _warn_of_clock(logged_at - time.time())
    history = SqlEventHistory(database, clock, keep_s=settings.event_retention_days * DAY_S)
    seal_key = settings.seal_key_file or folder / "seal.key"

    async def close() -> None:
        await history.close()
        await database.close()

    return Stores(
        kind="sqlite",
        clock=clock,
        log=await SqlFactLog.open(database, clock),
        mark_store=SqlMarkStore(database),
        key_store=SqlKeyStore(database),
        last_good=SqlLastGoodStore(database),
        history=history,
        sealer=load_sealer(KeyFile(seal_key, Purpose.SEAL), await sealing_keys(database)),
        lease_secrets=_lease_secrets(settings) or _beside(folder, Purpose.LEASE),
        fingerprint_secret=_fingerprint_secret(settings) or _beside(folder, Purpose.FINGERPRINT)[0],
        fault=lambda: database.fault,
        close=close,
    )


def _warn_of_clock(ahead_s: float) -> None:
    """Say that the wall clock was turned back: times that are shown run ahead of it."""
    if ahead_s > CLOCK_SLACK_S:
        hint = "the wall clock was turned back: the broker goes on from what it logged last"
        log.warning("clock_turned_back", seconds=round(ahead_s, 1), hint=hint)


def _in_memory(settings: Settings, clock: Clock) -> Stores:
    return Stores(
        kind="memory",
        clock=clock,
        log=MemoryFactLog(clock),
        mark_store=MemoryMarkStore(),
        key_store=MemoryKeyStore(),
        last_good=MemoryLastGoodStore(),
        history=MemoryEventHistory(),
        sealer=AesSealer.of_keys(secrets.token_bytes(32)),
        lease_secrets=_lease_secrets(settings) or (secrets.token_bytes(32),),
        fingerprint_secret=_fingerprint_secret(settings) or secrets.token_bytes(32),
    )


def _lease_secrets(settings: Settings) -> tuple[bytes, ...]:
    return tuple(secret.get_secret_value().encode() for secret in settings.lease_secrets)


def _fingerprint_secret(settings: Settings) -> bytes:
    given = settings.fingerprint_secret
    return given.get_secret_value().encode() if given else b""


def _beside(folder: Path, purpose: Purpose) -> tuple[bytes, ...]:
    """The secrets in a key file beside the database, made where there is none."""
    try:
        return KeyFile(folder / f"{purpose}.key", purpose).obtain()
    except KeyFileError as error:
        raise StartError(str(error)) from None
