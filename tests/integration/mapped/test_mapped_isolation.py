"""Whatever a query or a column finds, nobody is served another tenant's keys, or system keys."""

import pytest

from broker.adapters.mapped.statements import MAX_ROWS
from broker.core.tenancy import PolicyMode
from tests.integration.mapped.mapped_given import Theirs, reading


@pytest.mark.parametrize("number", [2, MAX_ROWS + 1])
async def test_a_query_that_forgets_the_tenant_gives_nobody_anothers_or_system_keys(
    theirs: Theirs, number: int
) -> None:
    await theirs.do("CREATE TABLE keys (tenant TEXT, provider TEXT, secret TEXT)")
    insert = "INSERT INTO keys VALUES "
    rows = ", ".join(f"('t{n}', 'openai', 'sk-{n}')" for n in range(number))
    await theirs.do(insert + rows)
    async with reading(theirs, query="SELECT * FROM keys WHERE :tenant <> ''") as given:
        record = await given.store.tenant("acme")
        assert record.policies["openai"].mode is PolicyMode.TENANT_ONLY
        assert (await given.secrets("acme"))["table.openai.acme"] == ""
        assert given.store.faults


async def test_a_column_with_spaces_behind_names_is_told_and_opens_nothing(theirs: Theirs) -> None:
    await theirs.do("CREATE TABLE keys (tenant CHAR(8), provider TEXT, secret TEXT)")
    await theirs.do("INSERT INTO keys VALUES ('acme', 'openai', 'sk-a')")
    async with reading(theirs) as given:
        found = await given.secrets("acme")
        if theirs.kind == "sqlite":  # which pads nothing
            assert found == {"table.openai.acme": "sk-a"}
            return
        assert found == {"table.openai.acme": ""}
        assert "rows of another name" in given.store.faults[0]
