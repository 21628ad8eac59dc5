"""README and docs say what the code does."""

import re
from pathlib import Path

import pytest

from tests.documentation import DOCUMENTS, ROOT, TABLES, rendered


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_in_documents_are_those_of_the_code(path: Path) -> None:
    """`make docs` writes them anew."""
    text = path.read_text()
    assert rendered(text) == text


def test_every_table_stands_in_a_document() -> None:
    """A table nobody reads would not be missed when it went wrong."""
    text = "".join(path.read_text() for path in DOCUMENTS)
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(TABLES)


def test_every_file_that_a_document_links_to_exists() -> None:
    """Links are relative to the document."""
    for path in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.relative_to(ROOT)} links to {link}"
