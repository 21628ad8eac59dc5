"""The steps of the schema lead to the tables that the code uses, and back."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, make_url
from sqlalchemy.schema import CreateTable

from broker.adapters.sql import migrating, sqlite
from broker.adapters.sql.file import DatabaseFile
from broker.adapters.sql.migrating import downgrade, revision_of, upgrade
from broker.adapters.sql.schema import METADATA, REVISION


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    file = DatabaseFile(path)
    file.take("test")
    engine = sqlite.make_engine(file.path, connections=1).execution_options(writes=True)
    yield engine
    engine.dispose()
    file.give_back()


def shape(engine: Engine) -> dict[str, list[str]]:
    """Tables and their columns."""
    inspected = inspect(engine)
    return {
        table: [f"{column['name']} {column['type']}" for column in inspected.get_columns(table)]
        for table in inspected.get_table_names()
    }


def test_the_steps_lead_to_the_tables_that_the_code_uses(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_constraints_are_named_by_the_convention(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection)
    inspected = inspect(engine)
    for table in METADATA.tables.values():
        unique = {constraint["name"] for constraint in inspected.get_unique_constraints(table.name)}
        foreign = {constraint["name"] for constraint in inspected.get_foreign_keys(table.name)}
        found = unique | foreign | {inspected.get_pk_constraint(table.name)["name"]}
        named = {constraint.name for constraint in table.constraints}
        counted = {"pk_events", "pk_changes"}  # SQLite names no key that it counts itself
        assert found - {None} == named - counted


def test_there_is_one_line_of_steps_and_the_code_is_at_its_end() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrating.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [REVISION]
    for step in scripts.walk_revisions():
        assert Path(step.path).name.startswith(f"v{step.revision}_")


def test_each_step_can_be_taken_back_and_again(engine: Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection)
    newest = shape(engine)
    with engine.begin() as connection:
        downgrade(connection, "base")
        assert revision_of(connection) == ""
    assert shape(engine).keys() == {"alembic_version"}
    with engine.begin() as connection:
        upgrade(connection)
        upgrade(connection)
        assert revision_of(connection) == REVISION
    assert shape(engine) == newest


def test_a_start_without_a_migration_does_not_load_alembic(engine: Engine, path: Path) -> None:
    with engine.begin() as connection:
        upgrade(connection)
    script = (
        "import asyncio, sys; from pathlib import Path; from broker.adapters.sql import Database\n"
        "async def main(): await (await Database.open(Path(sys.argv[1]))).close()\n"
        "asyncio.run(main()); assert 'alembic' not in sys.modules"
    )
    other = path.parent / "copy.db"
    other.write_bytes(path.read_bytes())
    subprocess.run([sys.executable, "-c", script, str(other)], check=True, capture_output=True)


def test_the_tables_can_be_made_in_postgresql_too() -> None:
    dialect = make_url("postgresql+psycopg://").get_dialect()()
    for table in METADATA.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
