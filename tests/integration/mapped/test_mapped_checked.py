"""That a table cannot be read is told before the first tenant asks."""

import asyncio
import json

import pytest

from broker.cli.exits import Exit
from tests.integration.mapped.mapped_given import Theirs
from tests.unit.cli.conftest import Keybroker, bare, keybroker

__all__ = ["bare", "keybroker"]


async def test_a_check_of_the_settings_reads_the_table(
    theirs: Theirs, keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await theirs.do("CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT)")

    async def check(**table: object) -> tuple[int, str]:
        monkeypatch.setenv("KEYBROKER_TENANT_TABLE", json.dumps({"url": theirs.url, **table}))
        result = await asyncio.to_thread(keybroker, "config", "check")
        return result.code, result.err

    assert await check(table="keys") == (Exit.OK, "")
    code, err = await check(table="keys", columns={"secret": "api_key"})
    assert code == Exit.USAGE
    assert err.startswith("KEYBROKER_TENANT_TABLE: table keys: the database does not work: it is")
    assert err.count("KEYBROKER_TENANT_TABLE says") == 1
    code, err = await check(table="keys", cipher="fernet", cipher_key_file="/nowhere/keys")
    assert code == Exit.USAGE
    assert "/nowhere/keys cannot be read" in err
