"""Opens the stores that the settings name, and joins the brokers that share them."""

import json
import time
from pathlib import Path

import structlog

from broker.adapters.aws import AwsClients
from broker.adapters.copies import FileSourceCopies
from broker.adapters.keyfiles import KeyFile, KeyFileError, Purpose
from broker.adapters.sql import (
    Database,
    SqlAgreements,
    SqlChangeFeed,
    SqlEventHistory,
    SqlFactLog,
    SqlKeyStore,
    SqlLastGoodStore,
    SqlMarkStore,
    SqlSealedRows,
    SqlSharedFactLog,
    last_logged_at,
)
from broker.adapters.system import SystemClock
from broker.app.errors import StartError
from broker.app.sealing import open_sealer
from broker.app.stores import Stores, fingerprint_secret, in_memory, lease_secrets
from broker.config import Settings
from broker.config.settings import PREFIX
from broker.config.stores import MEMORY, database_path
from broker.core.policy import DAY_S
from broker.ports.clock import Clock
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from broker.ports.fact_log import FactLog
from broker.services.joining import SecretsDifferError, join

START_S = 10.0
"""How long the database may take for one thing while nobody waits for answers yet."""

CLOCK_SLACK_S = 5.0
"""Less than this the clock may lag behind the log without a word."""

log = structlog.get_logger("keybroker")


async def open_stores(settings: Settings, replica: str, clock: Clock | None) -> Stores:
    """The stores that the settings name; raises StartError."""
    if settings.database == MEMORY:
        return in_memory(settings, clock or SystemClock())
    location = database_path(settings.database) or settings.database
    try:
        database = await Database.open(
            location, replica, password=_password(settings), deadline_s=START_S
        )
    except (StoreUnusableError, StoreUnavailableError) as error:
        raise StartError(str(error)) from None
    try:
        return await _in_database(settings, database, replica, clock)
    except (StoreUnusableError, StoreUnavailableError, SecretsDifferError) as error:
        await database.close()
        raise StartError(f"the database {database.name} cannot be used: {error}") from None
    except BaseException:
        await database.close()
        raise


async def _in_database(
    settings: Settings, database: Database, replica: str, clock: Clock | None
) -> Stores:
    clock = clock or await _clock_of(database)
    folder = database.path.parent if database.path else None
    leases, fingerprint = _secrets(settings, folder)
    agreements, sealed_rows = SqlAgreements(database), SqlSealedRows(database)
    fact_log, changes = await _log(settings, database, replica, clock)
    if changes is not None:
        await join(agreements, fingerprint, leases)
    kms = AwsClients()
    sealer = await open_sealer(settings, folder, sealed_rows, kms)
    copies = settings.source_copy_folder or (folder / "copies" if folder else None)
    history = SqlEventHistory(database, clock, keep_s=settings.event_retention_days * DAY_S)

    async def close() -> None:
        await kms.close()
        await history.close()
        await database.close()

    return Stores(
        kind=database.kind,
        clock=clock,
        log=fact_log,
        mark_store=SqlMarkStore(database),
        key_store=SqlKeyStore(database),
        last_good=SqlLastGoodStore(database),
        history=history,
        sealer=sealer,
        sealed_rows=sealed_rows,
        agreements=agreements,
        changes=changes,
        copies=FileSourceCopies(copies, sealer, fingerprint, _asked_for(settings))
        if copies
        else None,
        lease_secrets=leases,
        fingerprint_secret=fingerprint,
        fault=lambda: database.fault,
        hurry=database.hurry,
        close=close,
    )


async def _log(
    settings: Settings, database: Database, replica: str, clock: Clock
) -> tuple[FactLog, SqlChangeFeed | None]:
    """The log of facts, and where others write it too, what tells of them."""
    if not database.is_shared:
        return await SqlFactLog.open(database, clock), None
    shared = await SqlSharedFactLog.open(database, clock)
    password = _password(settings)
    return shared, SqlChangeFeed(settings.database, shared, password=password, replica=replica)


async def _clock_of(database: Database) -> SystemClock:
    """A clock that all brokers on the database agree on, and that no log is ahead of."""
    begins_at = await database.now() if database.is_shared else time.time()
    logged_at = await last_logged_at(database)
    if logged_at - begins_at > CLOCK_SLACK_S:
        hint = "the clock was turned back: the broker goes on from what it logged last"
        log.warning("clock_turned_back", seconds=round(logged_at - begins_at, 1), hint=hint)
    return SystemClock(not_before=logged_at, begins_at=begins_at)


def _asked_for(settings: Settings) -> str:
    """Which keys remote sources give: a copy of others is none of these."""
    return json.dumps([each.model_dump(mode="json") for each in settings.secrets_manager])


def _password(settings: Settings) -> str | None:
    password = settings.database_password
    return password.get_secret_value() if password else None


def _secrets(settings: Settings, folder: Path | None) -> tuple[tuple[bytes, ...], bytes]:
    """The secrets of leases and of fingerprints, as they are set or lie beside the database."""
    leases, fingerprint = lease_secrets(settings), fingerprint_secret(settings)
    if folder is None:
        if not (leases and fingerprint):
            names = f"{PREFIX}LEASE_SECRETS and {PREFIX}FINGERPRINT_SECRET"
            raise StartError(f"{names} must be set with a database that brokers share")
        return leases, fingerprint
    return (
        leases or _beside(folder, Purpose.LEASE),
        fingerprint or _beside(folder, Purpose.FINGERPRINT)[0],
    )


def _beside(folder: Path, purpose: Purpose) -> tuple[bytes, ...]:
    """The secrets in a key file beside the database, made where there is none."""
    try:
        return KeyFile(folder / f"{purpose}.key", purpose).obtain()
    except KeyFileError as error:
        raise StartError(str(error)) from None
