"""`keybroker db`: a person takes the database to a schema, and asks whether it will do."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from psycopg.sql import SQL

from broker.adapters.sql import Database, current_revision
from broker.adapters.sql.migrating import revisions
from broker.adapters.sql.schema import REVISION
from broker.cli.exits import Exit
from tests.postgres import execute, new_database
from tests.unit.cli.conftest import Keybroker, bare, keybroker

__all__ = ["bare", "keybroker"]

OLDER = revisions()[-2]

Use: TypeAlias = Callable[[str], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Have the settings name a database, and no secret of the brokers on it."""
    return lambda url: monkeypatch.setenv("KEYBROKER_DATABASE", url)


async def test_a_database_is_taken_there_and_back(keybroker: Keybroker, use: Use) -> None:
    async with new_database(schema=False) as url:
        use(url)
        assert "There are no tables yet" in keybroker("db", "current").out
        assert keybroker("db", "check").code == Exit.CANNOT_START
        for before, after in (("", OLDER), (OLDER, OLDER), (OLDER, REVISION)):
            done = keybroker("db", "upgrade", after, "--format", "json")
            assert (done.code, done.json) == (Exit.OK, {"before": before, "after": after})
        assert keybroker("db", "check").code == Exit.OK
        back = keybroker("db", "downgrade", "--to", OLDER, "--yes")
        assert back.out == f"The schema is {OLDER} now; it was {REVISION}.\n"
        current = keybroker("db", "current", "--format", "json")
        assert current.json == {"schema": OLDER, "needed": REVISION, "is_current": False}
        assert keybroker("db", "downgrade", "--to", "base", "-y").code == Exit.OK
        assert current_revision(url) == ""


async def test_nothing_is_dropped_without_being_asked_for(keybroker: Keybroker, use: Use) -> None:
    async with new_database() as url:
        use(url)
        refused = keybroker("db", "downgrade", "--to", OLDER)
        assert refused.code == Exit.USAGE
        assert "say --yes" in refused.err
        assert current_revision(url) == REVISION


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("upgrade", "9999"), "this version knows no schema '9999': name one of 0001"),
        (("upgrade", "head"), "this version knows no schema 'head'"),
        (("upgrade", OLDER), f"the schema is {REVISION} already, which is newer"),
        (("downgrade", "--to", "9999", "-y"), "this version knows no schema '9999'"),
        (("downgrade",), "missing option '--to'"),
        (("check", "more"), "too many arguments"),
    ],
)
async def test_wrong_arguments_are_told_and_change_nothing(
    keybroker: Keybroker, use: Use, arguments: tuple[str, ...], said: str
) -> None:
    async with new_database() as url:
        use(url)
        refused = keybroker("db", *arguments)
        assert refused.code == Exit.USAGE
        assert said in refused.err
        assert current_revision(url) == REVISION


def test_a_schema_that_is_not_there_yet_cannot_be_gone_back_to(
    keybroker: Keybroker, use: Use
) -> None:
    use("sqlite:///broker.db")
    assert keybroker("db", "upgrade", OLDER).code == Exit.OK
    refused = keybroker("db", "downgrade", "--to", REVISION, "--yes")
    assert refused.code == Exit.USAGE
    assert f"the schema is {OLDER}, which is older: 'keybroker db upgrade' goes on" in refused.err


async def test_a_file_is_migrated_while_no_broker_has_it(keybroker: Keybroker, use: Use) -> None:
    use("sqlite:///broker.db")
    assert "there is no file broker.db yet" in keybroker("db", "check").err
    assert "there is no file broker.db yet" in keybroker("db", "current").err
    assert keybroker("db", "upgrade").code == Exit.OK
    assert keybroker("db", "check").code == Exit.OK
    database = await Database.open(Path("broker.db"), "here")
    for command in ("current", "check", "upgrade"):
        refused = keybroker("db", command)
        assert refused.code == Exit.CANNOT_START
        assert "another broker has it" in refused.out + refused.err
    await database.close()


def test_a_broker_that_keeps_nothing_has_no_database(keybroker: Keybroker, use: Use) -> None:
    use("memory")
    refused = keybroker("db", "current")
    assert refused.code == Exit.USAGE
    assert "name one in KEYBROKER_DATABASE" in refused.err


def test_a_database_that_is_away_is_told_by_the_exit_code(keybroker: Keybroker, use: Use) -> None:
    use("postgresql://alice:canary@127.0.0.1:1/keys")
    for command in ("current", "upgrade", "check"):
        refused = keybroker("db", command)
        assert refused.code == Exit.STORE
        assert "nothing answers there" in refused.out + refused.err
        assert "canary" not in refused.out + refused.err


async def test_a_check_tells_all_that_is_wrong_as_json(keybroker: Keybroker, use: Use) -> None:
    async with new_database() as url:
        use(url)
        good = {check["check"]: check["ok"] for check in checks(keybroker)}
        names = ("server", "schema", "tables", "triggers", "rights", "writable", "sealing keys")
        assert good == dict.fromkeys(("reachable", *names), True)
        await execute(SQL("ALTER TABLE marks DISABLE TRIGGER USER"), url)
        (wrong,) = [check for check in checks(keybroker) if not check["ok"]]
        assert wrong["check"] == "triggers"
        assert "keybroker_marks_update missing or disabled" in str(wrong["detail"])


def checks(keybroker: Keybroker) -> list[dict[str, object]]:
    found: list[dict[str, object]] = keybroker("db", "check", "--format", "json").json["checks"]
    return found
