"""Imports as tests make them, and what they answer."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace

from broker.core.key import KeySettings
from broker.core.secret import Secret
from broker.ports.key_store import StoredKey
from broker.services.errors import InvalidFieldError
from broker.services.import_lines import ImportLine, ImportPart, Progress, SealedKey
from broker.services.keeping import NewKey
from tests.unit.services.status_given import Desk


def new(
    secret: str,
    key_id: str = "",
    tenant: str = "acme",
    provider: str = "openai",
    settings: KeySettings | None = None,
) -> NewKey:
    """A key in the clear."""
    return NewKey(tenant, provider, Secret(secret), key_id, settings or KeySettings())


def exported(key: StoredKey) -> SealedKey:
    """A key as an export has it."""
    return SealedKey(key.tenant, key.provider, key.key_id, key.settings, key.revisions)


async def parts_of(
    wanted: Sequence[NewKey | SealedKey | InvalidFieldError], size: int = 3, **given: bool
) -> AsyncIterator[ImportPart]:
    """So many keys a message, each on the line of its place."""
    for begin in range(0, len(wanted), size):
        some = enumerate(wanted[begin : begin + size], begin + 1)
        yield ImportPart([ImportLine(number, key) for number, key in some], 100, **given)


async def answers(
    desk: Desk, *wanted: NewKey | SealedKey | InvalidFieldError, dry_run: bool = False
) -> list[Progress]:
    """All that an import answers."""
    parts = parts_of(wanted, dry_run=dry_run)
    return [answer async for answer in desk.servicers.admin.importing.run("ops", parts)]


async def imported(
    desk: Desk, *wanted: NewKey | SealedKey | InvalidFieldError, dry_run: bool = False
) -> Progress:
    """The last answer of an import, with the faults of all of them."""
    told = await answers(desk, *wanted, dry_run=dry_run)
    assert [answer.is_done for answer in told] == [False] * (len(told) - 1) + [True]
    return replace(told[-1], faults=tuple(fault for answer in told for fault in answer.faults))


def faulty(progress: Progress) -> dict[int, str]:
    """What is wrong, by line."""
    return {fault.line: fault.message for fault in progress.faults}


async def kept(desk: Desk) -> list[str]:
    """All ids of tenants' keys."""
    page = await desk.store.inner.page(after=("", ""), limit=1000)
    return [key.key_id for key in page]


def ids(keys: Iterable[StoredKey]) -> list[str]:
    return [key.key_id for key in keys]
