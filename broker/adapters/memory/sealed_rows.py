"""What the stores of one process hold sealed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from sys import maxsize

from broker.core.sealed import Binding
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.key_store import KeyStore
from broker.ports.last_good import LastGoodStore
from broker.ports.sealed_rows import Dropped, Resealed, RowName, SealedRow

REVISIONS, LAST_GOOD = "key_revisions", "last_good"


class MemorySealedRows:
    """The secrets of two stores in memory, where nothing is awaited: so each change is whole."""

    def __init__(self, keys: KeyStore, last_good: LastGoodStore) -> None:
        self._keys = keys
        self._last_good = last_good

    async def counts(self) -> Mapping[str, int]:
        """How many rows each sealing key has sealed."""
        return Counter(row.sealed.sealed_by for row in await self._rows())

    async def sealed_by(self) -> frozenset[str]:
        """The ids of all keys that sealed something."""
        return frozenset(await self.counts())

    async def page(
        self, after: RowName | None, limit: int, *, not_by: str = "", by: str = ""
    ) -> Sequence[SealedRow]:
        """Up to `limit` rows that come after `after`."""
        rows = (
            row
            for row in await self._rows()
            if (after is None or row.name > after)
            and by in {"", row.sealed.sealed_by}
            and not_by != row.sealed.sealed_by
        )
        return nsmallest(limit, rows, key=lambda row: row.name)

    async def replace(self, resealed: Sequence[Resealed]) -> int:
        """Replace each secret that is still as it was before."""
        there = {row.name: row.sealed for row in await self._rows()}
        fresh = [each for each in resealed if there.get(each.name) == each.before]
        for each in fresh:
            await self._put(each)
        return len(fresh)

    async def drop(self, rows: Sequence[SealedRow]) -> Sequence[Dropped]:
        """Forget each row that is still as it was."""
        there = {row.name: row for row in await self._rows()}
        same = [row for row in rows if there.get(row.name) == row]
        return [Dropped(row, was_last=await self._forget(row.name)) for row in same]

    async def _put(self, resealed: Resealed) -> None:
        name = resealed.name
        if name.table == REVISIONS:
            key = await self._keys.key(name.key_id)
            if key is not None:
                sealed = {name.revision: resealed.after}
                await self._keys.update(key.key_id, key.settings, key.updated_at, sealed)
            return
        for last in await self._last_good.all():
            if last.key_id == name.key_id:
                await self._last_good.put(replace(last, sealed=resealed.after))

    async def _forget(self, name: RowName) -> bool:
        """Say whether a tenant's key went with the row."""
        if name.table == LAST_GOOD:
            await self._last_good.remove(name.key_id)
            return False
        key = await self._keys.key(name.key_id)
        if key is None:
            return False
        rest = tuple(kept for kept in key.revisions if kept.revision != name.revision)
        await self._keys.delete(name.key_id)
        if rest:  # the newest of them, too, may be what is dropped; the policy there is stays
            policy = TenantPolicy(key.tenant, key.provider, PolicyMode.TENANT_ONLY)
            await self._keys.create(replace(key, revisions=rest), policy)
        return not rest

    async def _rows(self) -> list[SealedRow]:
        rows = [
            SealedRow(
                RowName(REVISIONS, key.key_id, kept.revision),
                Binding(key.tenant, key.provider, key.key_id, kept.revision, key.settings.base_url),
                kept.sealed,
            )
            for key in await self._keys.page(after=("", ""), limit=maxsize)
            for kept in key.revisions
        ]
        for last in await self._last_good.all():
            binding = Binding("", last.provider, last.key_id, last.revision)
            name = RowName(LAST_GOOD, last.key_id, last.revision)
            rows.append(SealedRow(name, binding, last.sealed))
        return rows
