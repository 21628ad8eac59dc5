"""On which line of a TOML file something stands."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from broker.adapters.toml.lines import Place, lines_of


def test_tables_and_fields_are_found() -> None:
    lines = lines_of(
        'first = 1\n[[openai]]\n  "name" = "a"  # name = \n\n[[ openai ]] # two\nlimits.b = 1\n'
        "[openai.limits]\nc = 2\n[openai.models]\n'gpt-4o' = ''\n[anthropic]\nd = 1\n"
    )
    assert lines == {
        Place("first"): 1,
        Place("openai"): 2,
        Place("openai", 0, "name"): 3,
        Place("openai", 1): 5,
        Place("openai", 1, "limits"): 6,
        Place("openai", 1, "limits.b"): 6,
        Place("openai", 1, "limits.c"): 8,
        Place("openai", 1, "models"): 9,
        Place("openai", 1, "models.gpt-4o"): 10,
        Place("anthropic"): 11,
        Place("anthropic", 0, "d"): 12,
    }


def test_values_that_span_lines_are_passed_over() -> None:
    lines = lines_of(
        '[[openai]]\r\nsecret = """\\\r\n  a"""  # [[openai]]\r\nmodels = [ # ]\r\n  "x",\r\n'
        "  \"[[openai]]\",\r\n]\r\nweight = 1\r\n[[openai]]\nname = '''\nweight = 1'''\n"
        'account = "\\"]["\npriority = 1\n'
    )
    assert {place.field: line for place, line in lines.items() if place.number == 0} == {
        "": 1,
        "secret": 2,
        "models": 4,
        "weight": 8,
    }
    assert {place.field: line for place, line in lines.items() if place.number == 1} == {
        "": 9,
        "name": 10,
        "account": 12,
        "priority": 13,
    }


@given(st.text(alphabet="[]{}\"'=\\\n# ax.,1", max_size=60))
def test_whatever_is_in_the_file_the_search_ends(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in lines_of(text).values())


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["name", "secret", "weight", "limits"]),
            st.sampled_from(['"a"', "1", "[\n1,\n]", '"""\nx = 1\n"""', "{ a = 1 }", "'#'"]),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_every_field_that_the_parser_sees_is_found_where_it_is(
    tables: list[dict[str, str]],
) -> None:
    text = "".join(
        "[[openai]]\n" + "".join(f"{name} = {value}\n" for name, value in table.items())
        for table in tables
    )
    lines, rows = lines_of(text), text.split("\n")
    for number, table in enumerate(tomllib.loads(text).get("openai", [])):
        assert rows[lines[Place("openai", number)] - 1] == "[[openai]]"
        for field in table:
            assert rows[lines[Place("openai", number, field)] - 1].startswith(f"{field} = ")
