"""Tenants' keys and policies as rows: one transaction a change."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Update,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from broker.adapters.sql.database import Database
from broker.adapters.sql.key_import import (
    WITHIN_S,
    find_clashes,
    insert_all,
    key_values,
    prepare,
)
from broker.adapters.sql.rows import (
    AnyRow,
    key_of,
    policy_of,
    policy_values,
    revision_values,
    sealed_values,
    settings_values,
)
from broker.adapters.sql.schema import KEY_REVISIONS, KEYS, TENANT_POLICIES
from broker.adapters.sql.upserting import insert_if_new, insert_or_replace
from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import TenantPolicy
from broker.ports.errors import DuplicateSecretError, KeyTakenError
from broker.ports.key_store import (
    NOTHING_RESEALED,
    FirstPolicies,
    KeyNames,
    StoredKey,
    StoredRevision,
    TenantRecord,
)

_K, _R, _P = KEYS.c, KEY_REVISIONS.c, TENANT_POLICIES.c


class SqlKeyStore:
    """Keys, their revisions and policies; refusals are the constraints' of the tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tenant(self, tenant: str) -> TenantRecord:
        """One tenant; its keys by (provider, key id)."""

        def read(connection: Connection) -> TenantRecord:
            policies = connection.execute(
                select(TENANT_POLICIES).where(_P.tenant == tenant)
            ).fetchall()
            keys = connection.execute(
                select(KEYS).where(_K.tenant == tenant).order_by(_K.provider, _K.key_id)
            ).fetchall()
            return TenantRecord(
                tenant,
                {row.provider: policy_of(row) for row in policies},
                _with_revisions(connection, keys, _R.tenant == tenant),
            )

        return await self._database.read(read)

    async def key(self, key_id: str) -> StoredKey | None:
        """One key by id."""
        return await self._database.read(lambda connection: _find(connection, key_id))

    async def page(
        self,
        *,
        after: tuple[str, str],
        limit: int,
        provider: str = "",
        tenant: str = "",
        expires_by: float | None = None,
    ) -> list[StoredKey]:
        """Up to `limit` keys that come after `after`."""
        query = select(KEYS).order_by(_K.provider, _K.key_id).limit(limit)
        query = query.where(tuple_(_K.provider, _K.key_id) > tuple_(*after))
        if provider:
            query = query.where(_K.provider == provider)
        if tenant:
            query = query.where(_K.tenant == tenant)
        if expires_by is not None:
            query = query.where(_K.expires_at <= expires_by)

        def read(connection: Connection) -> list[StoredKey]:
            keys = connection.execute(query).fetchall()
            ids = [row.key_id for row in keys]
            return list(_with_revisions(connection, keys, _R.key_id.in_(ids)))

        return await self._database.read(read)

    async def create(self, key: StoredKey, first_policy: TenantPolicy) -> None:
        """Keep a new key, and its tenant's first policy."""

        def write(connection: Connection) -> None:
            try:
                with connection.begin_nested():
                    _insert_key(connection, key)
            except IntegrityError:
                if _find(connection, key.key_id) is not None:
                    raise KeyTakenError(f"there is a key {key.key_id} already") from None
                raise _duplicate(connection, key, *key.revisions) from None
            insert_if_new(connection, TENANT_POLICIES, policy_values(first_policy))

        await self._database.write(write)

    async def create_all(self, keys: Sequence[StoredKey], first_policies: FirstPolicies) -> None:
        """Keep new keys, and their tenants' first policies."""
        new = await asyncio.to_thread(prepare, keys, first_policies)
        await self._database.write(partial(insert_all, new=new), within_s=WITHIN_S)

    async def clashes(self, wanted: Collection[KeyNames]) -> Mapping[str, str]:
        """The keys that are in the way of new ones."""
        return await self._database.read(partial(find_clashes, wanted=wanted))

    async def update(
        self,
        key_id: str,
        settings: KeySettings,
        at: float,
        resealed: Mapping[str, SealedSecret] = NOTHING_RESEALED,
    ) -> bool:
        """Replace a key's settings."""
        change = update(KEYS).where(_K.key_id == key_id)
        change = change.values(**settings_values(settings), updated_at=at)

        def write(connection: Connection) -> bool:
            is_known = _changed(connection, change)
            for revision, sealed in sorted(resealed.items()):
                of_revision = (_R.key_id == key_id) & (_R.revision == revision)
                reseal = update(KEY_REVISIONS).where(of_revision)
                connection.execute(reseal.values(sealed_values(sealed)))
            return is_known

        return await self._database.write(write)

    async def add_revision(self, key_id: str, revision: StoredRevision) -> bool:
        """Keep a revision as the newest; that it authenticated before is not forgotten."""

        def write(connection: Connection) -> bool:
            _lock(connection, key_id)
            key = _find(connection, key_id)
            if key is None:
                return False
            try:
                with connection.begin_nested():
                    _put_revision(connection, key, revision)
            except IntegrityError:
                raise _duplicate(connection, key, revision) from None
            touched = update(KEYS).where(_K.key_id == key_id)
            connection.execute(touched.values(updated_at=revision.created_at))
            return True

        return await self._database.write(write)

    async def drop_revision(self, key_id: str, revision: str) -> None:
        """Forget a revision, unless it is the newest."""
        others = KEY_REVISIONS.alias()
        newer = select(others.c.key_id).where(others.c.key_id == key_id, others.c.rank > _R.rank)
        drop = delete(KEY_REVISIONS).where(
            _R.key_id == key_id, _R.revision == revision, newer.exists()
        )

        def write(connection: Connection) -> None:
            _lock(connection, key_id)  # another broker may make it the newest at this moment
            connection.execute(drop)

        await self._database.write(write)

    async def note_authenticated(self, key_id: str, revision: str, at: float) -> None:
        """Remember that the provider accepted a revision."""
        note = update(KEY_REVISIONS).where(_R.key_id == key_id, _R.revision == revision)
        note = note.values(authenticated_at=at)
        await self._database.write(lambda connection: _changed(connection, note))

    async def delete(self, key_id: str) -> bool:
        """Forget a key, and by the foreign key its revisions; its policy stays."""
        gone = delete(KEYS).where(_K.key_id == key_id)
        return await self._database.write(lambda connection: _changed(connection, gone))

    async def put_policy(self, policy: TenantPolicy) -> None:
        """Set a policy."""
        values = policy_values(policy)
        await self._database.write(partial(insert_or_replace, table=TENANT_POLICIES, values=values))


def _with_revisions(
    connection: Connection, keys: Sequence[AnyRow], theirs: ColumnElement[bool]
) -> tuple[StoredKey, ...]:
    """Keys with their revisions, which are `theirs` and perhaps more."""
    if not keys:
        return ()
    revisions = defaultdict(list)
    newest_first = select(KEY_REVISIONS).where(theirs).order_by(_R.rank.desc())
    for row in connection.execute(newest_first):
        revisions[row.key_id].append(row)
    return tuple(key_of(row, revisions[row.key_id]) for row in keys)


def _find(connection: Connection, key_id: str) -> StoredKey | None:
    keys = connection.execute(select(KEYS).where(_K.key_id == key_id)).fetchall()
    found = _with_revisions(connection, keys, _R.key_id == key_id)
    return found[0] if found else None


def _lock(connection: Connection, key_id: str) -> None:
    """Have other brokers wait that change the key, until this transaction ends."""
    row = select(_K.key_id).where(_K.key_id == key_id)
    connection.execute(row.with_for_update(key_share=True))


def _insert_key(connection: Connection, key: StoredKey) -> None:
    connection.execute(insert(KEYS).values(key_values(key)))
    ranked = enumerate(reversed(key.revisions))
    rows = [revision_values(key, revision, rank) for rank, revision in ranked]
    connection.execute(insert(KEY_REVISIONS), rows)


def _put_revision(connection: Connection, key: StoredKey, revision: StoredRevision) -> None:
    of_key = _R.key_id == key.key_id
    rank = connection.scalar(select(func.max(_R.rank)).where(of_key)) + 1
    values = revision_values(key, revision, rank)
    kept = {known.revision: known for known in key.revisions}.get(revision.revision)
    if kept is None:
        connection.execute(insert(KEY_REVISIONS).values(values))
        return
    values["authenticated_at"] = revision.authenticated_at or kept.authenticated_at
    same = update(KEY_REVISIONS).where(of_key, _R.revision == revision.revision)
    connection.execute(same.values(values))


def _duplicate(connection: Connection, key: StoredKey, *revisions: StoredRevision) -> Exception:
    """Whose secret one of these is already, after a constraint refused them."""
    names = [revision.revision for revision in revisions]
    of_pool = (_R.tenant == key.tenant) & (_R.provider == key.provider)
    others = select(_R.key_id).where(of_pool, _R.revision.in_(names), _R.key_id != key.key_id)
    return DuplicateSecretError(
        connection.scalars(others.order_by(_R.key_id)).first() or key.key_id
    )


def _changed(connection: Connection, change: Update | Delete) -> bool:
    """Did the change find its row?"""
    return bool(connection.execute(change).rowcount)
