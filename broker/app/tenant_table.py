"""Tenants' keys in another system's table, beside those in the broker's own database."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from broker.adapters.mapped import (
    Decrypt,
    MappedKeyStore,
    RowReader,
    Shape,
    TheirKeys,
    TheirTable,
    fernet,
    plain,
)
from broker.adapters.seal import AesSealer
from broker.app.errors import StartError
from broker.app.stores import Stores
from broker.config import Settings
from broker.config.settings import variable
from broker.config.stores import KEY_COLUMNS, MEMORY, TenantTableSetting
from broker.core.provider import Provider
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from broker.ports.key_source import SourceFault

NOBODY = ""
"""Stands for a tenant where only the names of table and columns are tried."""


async def with_tenant_table(
    settings: Settings, providers: Mapping[str, Provider], replica: str, stores: Stores
) -> Stores:
    """The stores with the table that settings map, if they do, in the store of keys.

    Raises StartError. That the table cannot be read is told and prevents no start: it may be away.
    """
    table = settings.tenant_table
    if table is None:
        return stores
    theirs, rows = _open(settings, table, providers, replica)
    with suppress(StoreUnavailableError):  # the log and the status tell of it
        await theirs.of_tenant(NOBODY)
    vault = AesSealer.of_keys(secrets.token_bytes(32))
    keys = TheirKeys(theirs, rows, vault, stores.fingerprint_secret, stores.clock)
    store = MappedKeyStore(stores.key_store, keys)

    async def close() -> None:
        await store.close()
        await stores.close()

    poll_s = table.poll_seconds
    return replace(stores, key_store=store, table=store, vault=vault, poll_s=poll_s, close=close)


async def tenant_table_faults(
    settings: Settings, providers: Mapping[str, Provider]
) -> Sequence[SourceFault]:
    """Why the table that settings map could not be read, if they do."""
    if settings.tenant_table is None:
        return ()
    place = variable("tenant_table")
    try:
        theirs, _ = _open(settings, settings.tenant_table, providers, "")
    except StartError as error:
        return (SourceFault(place, str(error)),)
    try:
        await theirs.of_tenant(NOBODY)
    except StoreUnavailableError as error:
        return (SourceFault(place, str(error)),)
    finally:
        await theirs.close()
    return ()


def _open(
    settings: Settings, table: TenantTableSetting, providers: Mapping[str, Provider], replica: str
) -> tuple[TheirTable, RowReader]:
    try:
        cipher = _cipher(table)
        url, password = _url(settings, table)
        theirs = TheirTable.open(_shape(table, providers), url, replica, password=password)
    except StoreUnusableError as error:
        raise StartError(str(error)) from None
    return theirs, RowReader(theirs.shape, cipher)


def _shape(table: TenantTableSetting, providers: Mapping[str, Provider]) -> Shape:
    columns = {name: column for name in KEY_COLUMNS if (column := table.column(name)) is not None}
    return Shape(
        table=table.table or "",
        query=table.query or "",
        columns=columns,
        providers=table.providers,
        known=sorted(providers),
    )


def _url(settings: Settings, table: TenantTableSetting) -> tuple[str, str | None]:
    """Where the table is, with a password: in the broker's own database, unless it is said."""
    if table.url is not None:
        return table.url.get_secret_value(), None
    if settings.database == MEMORY:
        raise StartError("KEYBROKER_TENANT_TABLE needs a url with a database in memory")
    password = settings.database_password
    return settings.database, password.get_secret_value() if password else None


def _cipher(table: TenantTableSetting) -> Decrypt:
    return plain if table.cipher_key_file is None else fernet(table.cipher_key_file)
