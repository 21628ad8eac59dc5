"""What docs/existing-table.md shows works as it is written there."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from psycopg.sql import SQL

from broker.app.stores import in_memory
from broker.app.tenant_table import with_tenant_table
from broker.config import Settings
from broker.core.key import KeySettings
from broker.core.sealed import SealedSecret
from broker.core.tenancy import PolicyMode
from broker.ports.key_store import StoredKey
from broker.services.opening import binding_of
from tests.fakes import FakeClock
from tests.postgres import execute, new_database
from tests.unit.services.status_given import GROQ, OPENAI

DOC = Path(__file__).parents[3] / "docs" / "existing-table.md"
EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```sql\n(.*?)```\n\n```json\n(.*?)```", re.DOTALL)
EXAMPLES = {name: (sql, setting) for name, sql, setting in EXAMPLE.findall(DOC.read_text())}
PROVIDERS = {"openai": OPENAI, "anthropic": replace(GROQ, name="anthropic")}


def user_named(setting: dict[str, object], url: str) -> str:
    """The test's database, as the user that the document names, if its SQL makes one."""
    told = re.match(r"postgresql://(\w+:[^@]+@)?", str(setting["url"]))
    head, _, tail = url.partition("@")
    user = told.group(1) if told else None
    return f"postgresql://{user}{tail}" if user else f"{head}@{tail}"


async def read(
    name: str, *more: str, cipher_key_file: Path | None = None
) -> dict[str, tuple[str, KeySettings]]:
    """The secrets and settings of acme's keys, by id, as the example is set up."""
    sql, text = EXAMPLES[name]
    setting = json.loads(text)
    async with new_database(schema=False) as url:
        for statement in (sql, *more):
            await execute(SQL(statement), url)
        setting["url"] = user_named(setting, url)
        if cipher_key_file is not None:
            setting["cipher_key_file"] = str(cipher_key_file)
        settings = Settings(database="memory", tenant_table=setting)
        stores = await with_tenant_table(
            settings, PROVIDERS, "here", in_memory(settings, FakeClock())
        )
        assert stores.vault is not None
        try:
            record = await stores.key_store.tenant("acme")
            assert stores.table is not None
            assert stores.table.faults == ()
            assert {policy.mode for policy in record.policies.values()} == {PolicyMode.TENANT_ONLY}
            found = {}
            for key in record.keys:
                secret = await stores.vault.open(sealed(key), binding_of(key, key.revisions[0]))
                found[key.key_id] = (secret.reveal(), key.settings)
            return found
        finally:
            await stores.close()


def sealed(key: StoredKey) -> SealedSecret:
    return key.revisions[0].sealed


async def test_a_plain_table_is_read_by_a_user_who_may_only_select() -> None:
    try:
        found = await read("plain")
    finally:
        await execute(SQL("DROP ROLE IF EXISTS keybroker_reads"))
    assert list(found) == ["acme-main"]
    secret, settings = found["acme-main"]
    assert secret == "sk-acme-1"
    assert list(settings.models) == ["gpt-4o", "gpt-4o-mini"]


async def test_a_query_is_read() -> None:
    found = await read("query")
    assert {key_id: secret for key_id, (secret, _) in found.items()} == {"10": "sk-acme-1"}


async def test_secrets_under_fernet_are_read(tmp_path: Path) -> None:
    key, path = Fernet.generate_key(), tmp_path / "fernet.keys"
    path.write_bytes(key + b"\n")
    token = Fernet(key).encrypt(b"sk-acme-1").decode()
    row = f"INSERT INTO tenant_keys VALUES ('acme', 'openai', '{token}')"  # noqa: S608 - its own
    found = await read("fernet", row, cipher_key_file=path)
    assert [secret for secret, _ in found.values()] == ["sk-acme-1"]


def test_every_example_is_tried() -> None:
    assert set(EXAMPLES) == {"plain", "query", "fernet"}


@pytest.mark.parametrize("word", ["key_id", "models", "enabled", "updated_at", "base_url"])
def test_every_column_is_explained(word: str) -> None:
    assert f"`{word}`" in DOC.read_text()
