"""Rows that make no sense are named, harm no other, and are never mistaken for permission."""

import asyncio
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from psycopg.sql import SQL
from structlog.testing import capture_logs

from broker.adapters.mapped import fernet
from broker.adapters.mapped.statements import MAX_ROWS
from broker.core.tenancy import PolicyMode
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from tests.integration.mapped.mapped_given import Theirs, reading
from tests.postgres import execute

WILD = "CREATE TABLE keys (id TEXT, tenant TEXT, provider TEXT, secret TEXT, extra TEXT)"
INSERT = "INSERT INTO keys VALUES (?, ?, ?, ?, ?)"
ID = {"key_id": "id"}
CANARY = "sk-canary-that-nobody-may-see"


async def faults_of(theirs: Theirs, *values: object, column: str = "") -> str:
    """What is told of one row; a good one beside it must be read all the same."""
    await theirs.do(WILD)
    await theirs.do(INSERT, "good", "acme", "openai", "sk-good", None)
    await theirs.do(INSERT, *values)
    columns = ID | ({column: "extra"} if column else {})
    async with reading(theirs, columns=columns) as given:
        secrets = await given.secrets("acme")
        assert secrets.pop("good") == "sk-good"
        assert not any(secrets.values())
        policies = (await given.store.tenant("acme")).policies
        assert policies["openai"].mode is PolicyMode.TENANT_ONLY
        (told,) = given.store.faults
        assert CANARY not in told
        return told


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (None, "bad: has no secret"),
        ("", "bad: has no secret"),
        (f"{CANARY}\n", "bad: has a secret with characters that cannot travel in a header"),
        (f"{CANARY} {CANARY}", "bad: has a secret with characters"),
        (CANARY * 400, "bad: has a secret of more than 8192 characters"),
        ("é" * 20, "bad: has a secret with characters"),
        ("acme", "bad: has a secret that is also its id, tenant or account"),
    ],
)
async def test_a_secret_that_is_none(theirs: Theirs, secret: str | None, told: str) -> None:
    assert told in await faults_of(theirs, "bad", "acme", "openai", secret, None)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("models", "[1, 2]", "models must be"),
        ("models", "[" * 5000, "models must be"),
        ("models", "a b", "models must be"),
        ("weight", "heavy", "weight must be a number"),
        ("weight", "nan", "weight must be a finite number"),
        ("weight", "-1", "weight must be a number above 0"),
        ("priority", "1e9", "priority must be a whole number"),
        ("account", "a b", "account must be"),
        ("expires_at", "tomorrow", "expires_at must be an RFC 3339 time"),
        ("expires_at", "2027-02-31T00:00:00Z", "expires_at must be"),
        ("base_url", "http://evil.example", "base_url must begin with https://"),
        ("base_url", "https://user@evil.example", "base_url must be a URL without user"),
        ("enabled", "perhaps", "enabled must be true or false"),
    ],
)
async def test_a_setting_that_is_none(theirs: Theirs, column: str, value: str, told: str) -> None:
    """The key is not used at all: what was meant by the setting might be a limit."""
    if column == "enabled":
        await theirs.do(WILD)
        await theirs.do(INSERT, "bad", "acme", "openai", CANARY, value)
        async with reading(theirs, columns=ID | {"enabled": "extra"}) as given:
            assert await given.secrets("acme") == {"bad": ""}
            assert told in given.store.faults[0]
        return
    assert told in await faults_of(theirs, "bad", "acme", "openai", CANARY, value, column=column)


async def test_a_provider_that_is_not_configured(theirs: Theirs) -> None:
    told = await faults_of(theirs, "bad", "acme", CANARY, CANARY, None)
    assert told == "table keys, bad: names a provider that is not configured"


async def test_of_rows_for_one_key_none_is_guessed(theirs: Theirs) -> None:
    await theirs.do(WILD)
    for number in range(2):
        await theirs.do(INSERT, None, "acme", "openai", f"sk-{number}", None)
    async with reading(theirs) as given:
        assert await given.secrets("acme") == {"table.openai.acme": ""}
        (told,) = given.store.faults
        assert "table.openai.acme: stands in 2 rows" in told
        assert "openai" in (await given.store.tenant("acme")).policies


async def test_a_secret_in_two_keys_is_used_once(theirs: Theirs) -> None:
    told = await faults_of(theirs, "other", "acme", "openai", "sk-good", None)
    assert told == "table keys, other: has the same secret as good, which stays"


async def test_an_id_of_two_tenants_is_the_first_ones_and_named(theirs: Theirs) -> None:
    await theirs.do(WILD)
    await theirs.do(INSERT, "default", "acme", "openai", "sk-acme", None)
    await theirs.do(INSERT, "default", "evil", "openai", "sk-evil", None)
    async with reading(theirs, columns=ID) as given:
        assert await given.secrets("acme") == {"default": "sk-acme"}
        assert await given.secrets("evil") == {"default": ""}
        assert await given.secrets("acme") == {"default": "sk-acme"}
        assert "is a key of two tenants" in given.store.faults[0]
        await theirs.do("DELETE FROM keys WHERE tenant = 'acme'")
        assert await given.secrets("evil") == {"default": "sk-evil"}
        assert given.store.faults == ()


@pytest.mark.parametrize("own_id", ["a/b", "table.openai.evil", "x" * 65, "é", "a b'\";--"])
async def test_an_id_that_is_none_here_has_one_made(theirs: Theirs, own_id: str) -> None:
    await theirs.do(WILD)
    await theirs.do(INSERT, own_id, "acme", "openai", "sk-a", None)
    async with reading(theirs, columns=ID) as given:
        (made,) = await given.secrets("acme")
        assert made.startswith("table.")
        assert len(made) == len("table.") + 32
        assert await given.store.key(made) is not None


async def test_a_fault_is_logged_once_and_again_when_it_comes_back(theirs: Theirs) -> None:
    await theirs.do(WILD)
    await theirs.do(INSERT, "bad", "acme", "openai", None, None)
    async with reading(theirs, columns=ID) as given:
        with capture_logs() as logs:
            for secret in (None, None, "sk-a", "sk-a", None):
                await theirs.do("UPDATE keys SET secret = ?", secret)
                await given.store.tenant("acme")
        assert [log["event"] for log in logs] == ["row_unusable"] * 2
        assert logs[0]["row"] == "bad"


async def test_more_rows_than_are_read_are_believed_of_nobody(theirs: Theirs) -> None:
    await theirs.do(WILD)
    numbers = ", ".join(f"('k{n}', 'acme', 'openai', 'sk-{n}')" for n in range(MAX_ROWS + 1))
    insert = "INSERT INTO keys (id, tenant, provider, secret) VALUES "
    await theirs.do(insert + numbers)
    async with reading(theirs, columns=ID) as given:
        closed = {"table.anthropic.acme": "", "table.openai.acme": ""}
        assert await given.secrets("acme") == closed, "what was not read may be of any provider"
        assert "has more than 1000 rows" in given.store.faults[0]
        await theirs.do("DELETE FROM keys WHERE id = 'k7'")
        assert len(await given.secrets("acme")) == MAX_ROWS


async def test_names_hold_whatever_they_like(theirs: Theirs) -> None:
    """Identifiers are quoted, values bound: nothing in them is SQL."""
    column = 'a "b" :c; DROP TABLE keys--'
    quoted = '"' + column.replace('"', '""') + '"'
    await theirs.do(f'CREATE TABLE "Keys$" (tenant TEXT, provider TEXT, {quoted} TEXT)')
    tenant = "'; DROP TABLE keys; -- \" :x %s %%"
    await theirs.do("INSERT INTO \"Keys$\" VALUES (?, 'openai', 'sk-a')", tenant)
    async with reading(theirs, table="Keys$", columns={"secret": column}) as given:
        assert list((await given.secrets(tenant)).values()) == ["sk-a"]
        assert await given.secrets("with\0nul") == {}


async def test_a_tenant_that_its_column_cannot_hold_has_nothing(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (tenant INTEGER, provider TEXT, secret TEXT)")
    await theirs.do("INSERT INTO keys VALUES (42, 'openai', 'sk-a')")
    async with reading(theirs) as given:
        assert await given.secrets("42") == {"table.openai.42": "sk-a"}
        for stranger in ("acme", "9" * 30):
            assert await given.secrets(stranger) == {}
        for alike in ("042", " 42"):  # to the column they are the same number
            assert not any((await given.secrets(alike)).values())


async def test_a_mistake_in_a_query_is_never_taken_for_no_keys(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT, n TEXT)")
    await theirs.do("INSERT INTO keys VALUES ('acme', 'openai', 'sk-a', 'no number')")
    wrong = "SELECT tenant, provider, nope AS secret FROM keys WHERE tenant = :tenant"
    async with reading(theirs, query=wrong) as given:
        with pytest.raises(StoreUnavailableError, match="the tenant query"):
            await given.store.tenant("acme")
    if theirs.kind == "postgresql":
        query = "SELECT tenant, provider, secret FROM keys WHERE tenant = :tenant AND n::int > 0"
        async with reading(theirs, query=query) as given:
            with pytest.raises(StoreUnavailableError):
                await given.store.tenant("acme")


async def test_a_query_that_writes_is_refused_by_the_database(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT)")
    if theirs.kind == "sqlite":
        query = "DELETE FROM keys WHERE tenant = :tenant RETURNING *"  # no part of a SELECT there
    else:
        await theirs.do(
            "CREATE FUNCTION lose() RETURNS int LANGUAGE sql AS 'DELETE FROM keys; SELECT 1'"
        )
        query = "SELECT *, lose() FROM keys WHERE tenant = :tenant"
    await theirs.do("INSERT INTO keys VALUES ('acme', 'openai', 'sk-a')")
    async with reading(theirs, query=query) as given, reading(theirs) as plainly:
        with pytest.raises(StoreUnavailableError):
            await given.store.tenant("acme")
        assert len(await plainly.secrets("acme")) == 1


def fernets(path: Path) -> list[Fernet]:
    return [Fernet(line) for line in path.read_bytes().split()]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "fernet.keys"
    path.write_bytes(b"\n".join(Fernet.generate_key() for _ in range(2)) + b"\n")
    return path


async def test_fernet_opens_with_any_of_its_keys_and_names_what_does_not(
    theirs: Theirs, key_file: Path
) -> None:
    await theirs.do(WILD)
    newest, oldest = fernets(key_file)
    stranger = Fernet(Fernet.generate_key())
    for name, cipher in (("new", newest), ("old", oldest), ("bad", stranger)):
        token = cipher.encrypt(f"sk-{name}".encode()).decode()
        await theirs.do(INSERT, name, "acme", "openai", token, None)
    await theirs.do(INSERT, "plain", "acme", "openai", CANARY, None)
    async with reading(theirs, columns=ID, decrypt=fernet(key_file)) as given:
        secrets = await given.secrets("acme")
        assert secrets == {"bad": "", "new": "sk-new", "old": "sk-old", "plain": ""}
        assert len(given.store.faults) == 2
        assert "is not encrypted under a key of" in given.store.faults[0]
        assert CANARY not in "".join(given.store.faults)


def test_a_file_without_fernet_keys_is_refused(tmp_path: Path) -> None:
    for text in (b"", b"not a key\n"):
        (tmp_path / "keys").write_bytes(text)
        with pytest.raises(StoreUnusableError, match="one a line"):
            fernet(tmp_path / "keys")
    with pytest.raises(StoreUnusableError, match="cannot be read"):
        fernet(tmp_path / "none")


async def test_a_user_may_read_the_table_and_no_more(theirs: Theirs) -> None:
    if theirs.kind != "postgresql":
        pytest.skip("a file has no users")
    await theirs.do(WILD)
    await theirs.do(INSERT, "a", "acme", "openai", "sk-a", None)
    name = f"reader_{time.monotonic_ns()}"
    await execute(SQL(f"CREATE ROLE {name} LOGIN PASSWORD 'reads'"))
    head, _, tail = theirs.url.partition("@")
    url = f"{head.partition('://')[0]}://{name}:reads@{tail}"
    try:
        async with reading(theirs, columns=ID, url=url) as given:
            with pytest.raises(StoreUnavailableError, match="grant it SELECT"):
                await given.store.tenant("acme")
            await theirs.do(f"GRANT SELECT ON keys TO {name}")
            assert await given.secrets("acme") == {"a": "sk-a"}
    finally:
        await theirs.do(f"DROP OWNED BY {name}")
        await execute(SQL(f"DROP ROLE {name}"))


async def test_a_lock_on_the_table_holds_nobody_up_for_long(theirs: Theirs) -> None:
    if theirs.kind != "postgresql":
        pytest.skip("readers of a file in WAL mode wait for nobody")
    await theirs.do(WILD)

    def hold() -> None:
        theirs.execute("DO $$ BEGIN LOCK TABLE keys; PERFORM pg_sleep(2); END $$")

    holding = asyncio.ensure_future(asyncio.to_thread(hold))
    await asyncio.sleep(0.3)
    async with reading(theirs) as given:
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await given.store.tenant("acme")
        assert time.monotonic() - began < 1.2
        await holding
        assert await given.secrets("acme") == {}
