"""Importing many keys of tenants, all or none."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass, field

from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.clock import Clock
from broker.ports.errors import DuplicateSecretError, KeyTakenError, SealClosedError
from broker.ports.key_store import KeyStore, StoredKey
from broker.services.committing import Committing
from broker.services.errors import InvalidFieldError
from broker.services.import_check import ImportCheck
from broker.services.import_lines import ImportLine, ImportPart, Progress, Wanted
from broker.services.import_secrets import ImportSecrets, OpenKey
from broker.services.journal import Journal
from broker.services.keyring import Keyring
from broker.services.retiring import Retiring
from broker.services.spreading import Breath, spread
from broker.services.tenants import Tenants

MAX_AT_ONCE = 4
"""Imports whose keys are held at a time; further ones wait."""


@dataclass(frozen=True, slots=True)
class Importing:
    """Takes keys in, as if each had been created, but in one transaction."""

    keyring: Keyring
    store: KeyStore
    secrets: ImportSecrets
    tenants: Tenants
    committing: Committing
    retiring: Retiring
    journal: Journal
    clock: Clock
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_ONCE))

    async def run(
        self, principal: str, parts: AsyncIterator[ImportPart]
    ) -> AsyncGenerator[Progress, None]:
        """Answer each part with how far it is; the last answer, one more, is done.

        Raises SealClosed-, ImportTooLarge-, StoreUnavailable- and ChangeUncertainError.
        """
        async with self._slots:
            check = ImportCheck()
            async for part in parts:
                if not check.checked:
                    check.dry_run = part.dry_run
                    self._check_seal()
                check.weigh(part.size)
                await self._take(check, part.lines)
                yield check.progress()
            # A stream that breaks off looks like one that ends. Then this answer does not go out,
            # and nothing is kept.
            yield check.progress()
            yield await asyncio.shield(asyncio.create_task(self._finish(principal, check)))

    def _check_seal(self) -> None:
        fault = self.secrets.sealing.sealer.fault
        if fault:
            raise SealClosedError(fault)

    async def _take(self, check: ImportCheck, lines: Iterable[ImportLine]) -> None:
        """Check some lines, and seal their secrets while nothing is wrong with any."""
        opened = await self._opened(check, lines)
        new = [key for key in opened if check.is_new(key.line, key.names)]
        clashes = await self.store.clashes([key.names for key in new]) if new else {}
        for wanted, holder in clashes.items():
            check.blame_clash(wanted, holder)
        if check.faults:
            check.keys.clear()
        elif not check.dry_run:
            now = self.clock.now()
            for key in await spread(lambda key: self.secrets.seal(key, now), new):
                check.keep(key)

    async def _opened(self, check: ImportCheck, lines: Iterable[ImportLine]) -> list[OpenKey]:
        """The lines that are keys, with their secrets; what is wrong with others is noted."""
        breath, now = Breath(), self.clock.now()
        wanted: list[tuple[int, Wanted]] = []
        for line in lines:
            number = check.count(line.number)
            if isinstance(line.wanted, InvalidFieldError):
                check.blame(number, line.wanted.message)
            elif line.wanted.provider not in self.keyring.providers:
                check.blame(number, "provider: none of this name is configured")
            else:
                wanted.append((number, line.wanted))
            await breath.draw()

        async def open_one(one: tuple[int, Wanted]) -> OpenKey | None:
            number, key = one
            key_id = key.key_id or f"key-{secrets.token_hex(8)}"
            try:
                return await self.secrets.open(number, key_id, key, now)
            except InvalidFieldError as error:
                check.blame(number, error.message)
                return None

        return [key for key in await spread(open_one, wanted) if key is not None]

    async def _finish(self, principal: str, check: ImportCheck) -> Progress:
        if check.faults:
            return check.done(0)
        if check.dry_run or not check.keys:
            return check.done(check.checked)
        try:
            await self._keep(principal, check)
        except KeyTakenError as error:
            check.blame_clash(error.wanted, error.wanted)
            return check.done(0)
        except DuplicateSecretError as error:
            check.blame_clash(error.wanted, error.key_id)
            return check.done(0)
        await self._take_over(check)
        self._tell(principal, check)
        return check.done(len(check.keys))

    async def _keep(self, principal: str, check: ImportCheck) -> None:
        now, last = self.clock.now(), check.keys[-1]

        def first_policy(key: StoredKey) -> TenantPolicy:
            mode = PolicyMode.TENANT_ONLY
            return TenantPolicy(key.tenant, key.provider, mode, set_by=principal, set_at=now)

        async def is_made() -> bool:
            found = await self.store.key(last.key_id)
            return found is not None and found.revisions[0].sealed == last.revisions[0].sealed

        create = self.store.create_all(check.keys, first_policy)
        what = "the keys were created"
        await self.committing.commit_all(check.tenants, create, is_made, what)

    async def _take_over(self, check: ImportCheck) -> None:
        """Have decisions use the keys, where their tenants are in use."""
        circuits = self.retiring.health.circuits()
        # What is known of these ids is of keys that are gone.
        troubled = {c.scope.key_id for c in circuits if check.has(c.scope.key_id)}
        breath = Breath()
        for key in check.keys if troubled else ():
            if key.key_id in troubled:
                await self.retiring.forget_health(key)
            await breath.draw()
        for tenant in check.tenants:
            self.tenants.on_changed(tenant)
            await breath.draw()

    def _tell(self, principal: str, check: ImportCheck) -> None:
        keys, tenants, counts = len(check.keys), len(check.tenants), check.by_provider
        told = ", ".join(f"{count} of {name}" for name, count in counts.most_common())
        whose = "1 tenant" if tenants == 1 else f"{tenants} tenants"
        self.journal.record(
            "keys_imported",
            next(iter(counts)) if len(counts) == 1 else "",
            self.clock.now(),
            f"imported by {principal} for {whose}: {told}",
            principal=principal,
            attributes={
                "keys": str(keys),
                "tenants": str(tenants),
                "by_provider": ",".join(f"{name}={count}" for name, count in counts.items()),
            },
        )
