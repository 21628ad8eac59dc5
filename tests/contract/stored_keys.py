"""Keys as tests keep them, and short questions to a store."""

from dataclasses import replace
from datetime import UTC, datetime

from broker.core.key import KeyLimits, KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.key_store import KeyStore, StoredKey, StoredRevision
from tests.fakes import START

SEALED = SealedSecret("0123456789abcdef", bytes(range(60)), bytes(range(256)))
SETTINGS = KeySettings(
    models={"gpt-4*": "mine", "gpt-4o": "", "*": "überall"},
    weight=0.1,
    priority=-3,
    limits=KeyLimits(concurrency=2, requests_per_minute=60, tokens_per_minute=10**12),
    account="acct ☃",
    expires_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    base_url="https://eu.example/v1",
)
POLICY = TenantPolicy("acme", "openai", PolicyMode.TENANT_ONLY, set_by="alice", set_at=START)


def revision(name: str, at: float = START) -> StoredRevision:
    return StoredRevision(name, replace(SEALED, ciphertext=name.encode()), at)


def key(key_id: str, *names: str, tenant: str = "acme", provider: str = "openai") -> StoredKey:
    revisions = tuple(map(revision, names or (f"revision of {key_id}",)))
    return StoredKey(key_id, tenant, provider, KeySettings(), revisions, START, START)


async def create(store: KeyStore, *keys: StoredKey) -> None:
    for each in keys:
        await store.create(each, replace(POLICY, tenant=each.tenant, provider=each.provider))


async def kept(store: KeyStore, key_id: str) -> StoredKey:
    found = await store.key(key_id)
    assert found is not None
    return found


async def names_of(store: KeyStore, key_id: str) -> list[str]:
    return [kept.revision for kept in (await kept(store, key_id)).revisions]


async def read_all(
    store: KeyStore, limit: int, provider: str = "", tenant: str = ""
) -> list[list[str]]:
    pages: list[list[str]] = []
    after = ("", "")
    while page := await store.page(after=after, limit=limit, provider=provider, tenant=tenant):
        pages.append([key.key_id for key in page])
        after = (page[-1].provider, page[-1].key_id)
    return pages
