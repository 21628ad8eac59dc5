"""Keys in another system's table are tenants' keys as the broker's own are, and stay theirs."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broker.core.tenancy import PolicyMode, TenantPolicy
from broker.ports.errors import (
    DuplicateSecretError,
    KeyTakenError,
    ReadOnlyError,
    StoreUnavailableError,
    StoreUnusableError,
)
from broker.ports.key_store import KeyNames, TenantRecord
from tests.contract.stored_keys import POLICY, SETTINGS, key, revision
from tests.integration.mapped.mapped_given import Theirs, fingerprint, reading

PLAIN = "CREATE TABLE keys (id TEXT PRIMARY KEY, tenant TEXT, provider TEXT, secret TEXT)"
INSERT = "INSERT INTO keys VALUES (?, ?, ?, ?)"
ID = {"key_id": "id"}


async def test_a_tenant_has_the_keys_of_its_rows_and_no_others(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "one", "acme", "openai", "sk-one")
    await theirs.do(INSERT, "two", "acme", "anthropic", "sk-two")
    await theirs.do(INSERT, "three", "other", "openai", "sk-three")
    async with reading(theirs, columns=ID) as given:
        assert await given.secrets("acme") == {"one": "sk-one", "two": "sk-two"}
        assert await given.store.tenant("nobody") == TenantRecord("nobody", {}, ())
        (found, *_) = [k for k in (await given.store.tenant("acme")).keys if k.key_id == "one"]
        assert found.source == "table keys"
        assert found.revisions[0].revision == fingerprint("sk-one")
        assert given.store.faults == ()
        assert given.store.read_at == given.clock.now()


async def test_names_that_differ_in_case_are_different_tenants(theirs: Theirs) -> None:
    """Their column may compare more loosely than the broker does."""
    collation = "COLLATE NOCASE" if theirs.kind == "sqlite" else ""
    await theirs.do(f"CREATE TABLE keys (tenant TEXT {collation}, provider TEXT, secret TEXT)")
    await theirs.do("INSERT INTO keys VALUES ('ACME', 'openai', 'sk-one')")
    async with reading(theirs) as given:
        assert not any((await given.secrets("acme")).values())
        assert list((await given.secrets("ACME")).values()) == ["sk-one"]


async def test_without_an_id_a_key_is_named_after_its_tenant_and_provider(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT)")
    for tenant in ("acme", "Ünïcode ☃"):
        await theirs.do("INSERT INTO keys VALUES (?, 'openai', ?)", tenant, f"sk-{len(tenant)}")
    async with reading(theirs) as given, reading(theirs) as another:
        assert list(await given.secrets("acme")) == ["table.openai.acme"]
        (strange,) = await given.secrets("Ünïcode ☃")
        assert list(await another.secrets("Ünïcode ☃")) == [strange]
        found = await another.store.key("table.openai.acme")  # it was never asked for there
        assert found is not None
        assert found.tenant == "acme"
        assert (await given.store.key(strange)) is not None
        assert await given.store.key("table.openai.nobody") is None


async def test_a_key_is_found_by_its_id_where_the_table_has_one(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "one", "acme", "openai", "sk-one")
    async with reading(theirs, columns=ID) as given:
        found = await given.store.key("one")
        assert found is not None
        assert found.tenant == "acme"
        assert await given.store.key("none") is None


async def test_a_new_secret_is_a_new_revision_of_the_same_key(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "one", "acme", "openai", "sk-old")
    async with reading(theirs, columns=ID) as given:
        (before,) = (await given.store.tenant("acme")).keys
        await theirs.do("UPDATE keys SET secret = 'sk-new'")
        (after,) = (await given.store.tenant("acme")).keys
        assert (before.key_id, before.created_at) == (after.key_id, after.created_at)
        assert [r.revision for r in after.revisions] == [fingerprint("sk-new")]


async def test_that_a_revision_was_accepted_is_remembered(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "one", "acme", "openai", "sk-one")
    async with reading(theirs, columns=ID) as given:
        await given.store.tenant("acme")
        await given.store.note_authenticated("one", fingerprint("sk-one"), 5.0)
        (found,) = (await given.store.tenant("acme")).keys
        assert found.revisions[0].authenticated_at == 5.0
        await given.store.drop_revision("one", fingerprint("sk-one"))  # no business of ours
        assert len((await given.store.tenant("acme")).keys) == 1


async def test_a_tenant_with_a_row_is_served_from_its_own_keys_unless_a_policy_is_set(
    theirs: Theirs,
) -> None:
    await theirs.do(f"{PLAIN[:-1]}, enabled INTEGER)")
    await theirs.do("INSERT INTO keys VALUES ('a', 'acme', 'openai', 'sk-a', 1)")
    await theirs.do("INSERT INTO keys VALUES ('b', 'acme', 'anthropic', 'sk-b', 0)")
    async with reading(theirs, columns=ID | {"enabled": "enabled"}) as given:
        record = await given.store.tenant("acme")
        assert [k.key_id for k in record.keys] == ["a"]
        implied = TenantPolicy("acme", "openai", PolicyMode.TENANT_ONLY, set_by="table keys")
        assert record.policies == {
            "openai": implied,
            "anthropic": replace(implied, provider="anthropic"),
        }
        await given.store.put_policy(replace(POLICY, mode=PolicyMode.SYSTEM_ONLY))
        policies = (await given.store.tenant("acme")).policies
        assert policies["openai"].mode is PolicyMode.SYSTEM_ONLY


async def test_what_a_row_says_of_a_key_is_taken(theirs: Theirs) -> None:
    await theirs.do(
        "CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT, models TEXT, w REAL,"
        " p INTEGER, account TEXT, ends TEXT, endpoint TEXT, live TEXT, changed REAL)"
    )
    models = '{"gpt-4*": "mine", "gpt-4o": null}'
    await theirs.do(
        "INSERT INTO keys VALUES ('acme', 'openai', 'sk-a', ?, 2.5, 3, 'team', ?, ?, 'active', 60)",
        *(models, "2027-01-31T00:00:00Z", "https://eu.example/v1/"),
    )
    columns = {
        "models": "models",
        "weight": "w",
        "priority": "p",
        "account": "account",
        "expires_at": "ends",
        "base_url": "endpoint",
        "enabled": "live",
        "updated_at": "changed",
    }
    async with reading(theirs, columns=columns) as given:
        (found,) = (await given.store.tenant("acme")).keys
        settings = found.settings
        assert settings.models == {"gpt-4*": "mine", "gpt-4o": ""}
        assert (settings.weight, settings.priority, settings.account) == (2.5, 3, "team")
        assert settings.expires_at == datetime(2027, 1, 31, tzinfo=UTC)
        assert settings.base_url == "https://eu.example/v1"
        assert found.updated_at == 60.0
        at = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
        page = await given.store.page(after=("", ""), limit=9, tenant="acme", expires_by=at)
        assert [k.key_id for k in page] == [found.key_id]


async def test_their_words_for_providers_are_mapped(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "one", "acme", "1", "sk-one")
    await theirs.do(INSERT, "two", "acme", "Anthropic", "sk-two")
    async with reading(theirs, columns=ID, providers={"1": "openai"}) as given:
        found = (await given.store.tenant("acme")).keys
        assert [(k.provider, k.key_id) for k in found] == [("anthropic", "two"), ("openai", "one")]


async def test_a_query_joins_what_it_likes(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE orgs (id INTEGER PRIMARY KEY, slug TEXT)")
    await theirs.do("CREATE TABLE creds (org INTEGER, vendor TEXT, value TEXT, state TEXT)")
    await theirs.do("INSERT INTO orgs VALUES (7, 'acme'), (8, 'other')")
    await theirs.do(
        "INSERT INTO creds VALUES (7, 'openai', 'sk-a', 'on'), (7, 'anthropic', 'sk-b', 'gone'),"
        " (8, 'openai', 'sk-c', 'on')"
    )
    query = (
        "SELECT o.slug, c.vendor, c.value FROM creds c JOIN orgs o ON o.id = c.org\n"
        "WHERE o.slug = :tenant AND c.state LIKE 'o%'; -- no longer; -- than this"
    ).replace("; -- no", " -- no")
    columns = {"tenant": "slug", "provider": "vendor", "secret": "value"}
    async with reading(theirs, query=query, columns=columns) as given:
        assert await given.secrets("acme") == {"table.openai.acme": "sk-a"}
        assert await given.secrets("x' OR '1'='1") == {}
        found = await given.store.key("table.openai.acme")
        assert found is not None
        assert found.source == "the tenant query"


async def test_the_brokers_own_keys_stand_beside_theirs(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "m", "acme", "openai", "sk-m")
    await theirs.do(INSERT, "x", "other", "openai", "sk-x")
    async with reading(theirs, columns=ID) as given:
        for made in (key("a"), key("z")):
            await given.store.create(made, POLICY)
        assert [k.key_id for k in (await given.store.tenant("acme")).keys] == ["a", "m", "z"]
        page = await given.store.page(after=("", ""), limit=2, tenant="acme")
        assert [k.key_id for k in page] == ["a", "m"]
        rest = await given.store.page(after=("openai", "m"), limit=2, tenant="acme")
        assert [k.key_id for k in rest] == ["z"]
        of_all = await given.store.page(after=("", ""), limit=9)
        assert [k.key_id for k in of_all] == ["a", "z"]


async def test_nothing_of_theirs_is_changed_and_nothing_taken_from_them(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do(INSERT, "one", "acme", "openai", "sk-one")
    async with reading(theirs, columns=ID) as given:
        store = given.store
        with pytest.raises(ReadOnlyError, match="table keys"):
            await store.update("one", SETTINGS, 1.0)
        with pytest.raises(ReadOnlyError):
            await store.add_revision("one", revision("new"))
        with pytest.raises(ReadOnlyError):
            await store.delete("one")
        assert not await store.delete("none")
        for taken in (key("one"), key("one", tenant="other")):
            with pytest.raises(KeyTakenError):
                await store.create(taken, POLICY)
        with pytest.raises(DuplicateSecretError, match="one"):
            await store.create_all([key("mine", fingerprint("sk-one"))], lambda _: POLICY)
        names = KeyNames("mine", "acme", "openai", (fingerprint("sk-one"),))
        assert await store.clashes([names]) == {"mine": "one"}
        await store.create(key("mine"), POLICY)
        assert await store.delete("mine")


async def test_an_id_as_it_is_made_of_another_tenants_row_is_not_to_be_had(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    await theirs.do("INSERT INTO keys VALUES ('one', 'acme', 'openai', 'sk-one')")
    async with reading(theirs) as given:
        (made,) = await given.secrets("acme")
        names = KeyNames(made, "other", "openai", ("r",))
        assert await given.store.clashes([names]) == {made: made}
        with pytest.raises(KeyTakenError):
            await given.store.create(key(made, tenant="other"), POLICY)


async def test_a_key_that_stands_in_both_is_the_brokers_own(theirs: Theirs) -> None:
    await theirs.do(PLAIN)
    async with reading(theirs, columns=ID) as given:
        await given.store.create(key("one"), POLICY)
        await given.store.create(key("two", fingerprint("sk-two")), POLICY)
        await theirs.do(INSERT, "one", "acme", "openai", "sk-one")
        await theirs.do(INSERT, "three", "acme", "openai", "sk-two")
        found = (await given.store.tenant("acme")).keys
        assert [(k.key_id, k.source) for k in found] == [("one", ""), ("two", "")]
        assert len(given.store.faults) == 2


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:"])
async def test_a_url_that_leads_nowhere_is_refused(theirs: Theirs, url: str) -> None:
    with pytest.raises(StoreUnusableError):
        async with reading(theirs, url=url):
            pass


async def test_a_table_that_is_not_there_is_told_in_words(theirs: Theirs) -> None:
    async with reading(theirs) as given:
        with pytest.raises(StoreUnavailableError, match="KEYBROKER_TENANT_TABLE"):
            await given.store.tenant("acme")
        assert "table keys" in given.store.faults[0]
        await theirs.do(PLAIN)
        assert await given.secrets("acme") == {}
        assert given.store.faults == ()
