"""Judging provider answers offline, line by line."""

import json
import time
from typing import Any

import pytest

from broker.cli.exits import Exit
from tests.unit.cli.conftest import Keybroker

INVALID = json.dumps({"error": {"code": "invalid_api_key", "message": "Incorrect API key"}})


def a_row(**given: object) -> dict[str, object]:
    row = {"id": "a", "provider": "openai", "http_status": 401, "headers": {}, "body": INVALID}
    return {**row, "transport_error": None} | given


def lines(*rows: object) -> str:
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


def test_each_line_gets_a_verdict_with_exactly_the_promised_fields(keybroker: Keybroker) -> None:
    limited = a_row(id=7, http_status=429, body=None, headers={"Retry-After": "12"}, note="x")
    result = keybroker("classify", stdin=lines(a_row(), "", limited))
    assert (result.code, result.err) == (Exit.OK, "")
    first, second = result.lines
    assert list(first) == ["id", "kind", "scope", "retry_after_s", "rule"]
    assert first | {"rule": ""} == {
        "id": "a",
        "kind": "INVALID_CREDENTIAL",
        "scope": "key",
        "retry_after_s": None,
        "rule": "",
    }
    assert (second["id"], second["kind"], second["retry_after_s"]) == (7, "RATE_LIMITED", 12.0)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"transport_error": "CONNECT", "http_status": None}, "UNREACHABLE"),
        ({"transport_error": "transport_error_reset", "http_status": None}, "UNREACHABLE"),
        ({"transport_error": "httpx.ReadTimeout", "http_status": None}, "UNREACHABLE"),
        ({"transport_error": "CALLER_CANCELLED", "http_status": None}, "CANCELLED"),
        ({"body": {"error": {"code": "insufficient_quota"}}, "http_status": 429}, None),
        ({"body": "x" * 100_000, "http_status": 503}, "OVERLOADED"),
        ({"headers": None, "body": None}, "INVALID_CREDENTIAL"),
    ],
)
def test_what_is_null_missing_or_in_another_form_is_understood(
    keybroker: Keybroker, given: dict[str, Any], kind: str | None
) -> None:
    result = keybroker("classify", stdin=lines(a_row(**given)))
    assert result.code == Exit.OK
    assert kind in {None, result.lines[0]["kind"]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{not json", "is not JSON: "),
        ("[1]", "is no JSON object"),
        ("[" * 100_000, "is not JSON"),
        (a_row(provider=None), "has no provider"),
        (a_row(http_status="401"), "http_status is no number"),
        (a_row(http_status=True), "http_status is no number"),
        (a_row(http_status=7), "no HTTP status"),
        (a_row(http_status=None), "neither http_status nor transport_error"),
        (a_row(headers=[1]), "headers are no object"),
        (a_row(headers={"a": [1]}), "headers are no object"),
        (a_row(transport_error=5), "transport_error is no text"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_the_rest_goes_on(
    keybroker: Keybroker, row: object, said: str
) -> None:
    result = keybroker("classify", stdin=lines(a_row(), row, a_row(id="c")))
    assert result.code == Exit.USAGE
    assert [line["id"] for line in result.lines] == ["a", "c"]
    assert result.err.startswith("line 2: ")
    assert said in result.err
    assert "1 of 3 lines" in result.err


def test_bytes_that_are_no_text_and_endless_lines_are_bad_lines(keybroker: Keybroker) -> None:
    data = b'{"id": "\xff\xfe"}\n' + b"x" * 9_000_000 + b"\n" + lines(a_row()).encode()
    result = keybroker("classify", stdin=data)
    assert result.code == Exit.USAGE
    assert [line["id"] for line in result.lines] == ["a"]
    assert "line 1: is not JSON in UTF-8" in result.err
    assert "line 2: is longer than" in result.err


def test_a_configured_provider_speaks_its_dialect(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = {"acme": {"dialect": "anthropic", "base_url": "https://acme.example"}}
    monkeypatch.setenv("KEYBROKER_PROVIDERS", json.dumps(providers))
    result = keybroker("classify", "--explain", stdin=lines(a_row(provider="acme")))
    assert result.lines[0]["dialect"] == "anthropic"


def test_wrong_settings_leave_the_dialects(
    keybroker: Keybroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYBROKER_PROVIDERS", "{")
    result = keybroker("classify", stdin=lines(a_row()))
    assert result.code == Exit.OK
    assert "keybroker config check" in result.err
    assert len(result.lines) == 1


def test_an_explanation_says_what_matched_and_what_it_does(keybroker: Keybroker) -> None:
    [line] = keybroker("classify", "--explain", stdin=lines(a_row())).lines
    assert line["evidence"] == "CERTAIN"
    assert "The rule" in line["explanation"]


def test_unknown_providers_are_told_once_and_judged_in_the_generic_dialect(
    keybroker: Keybroker,
) -> None:
    result = keybroker("classify", stdin=lines(a_row(provider="nobody"), a_row(provider="nobody")))
    assert result.code == Exit.OK
    assert [line["kind"] for line in result.lines] == ["INVALID_CREDENTIAL"] * 2
    assert result.err == "'nobody' is no known provider: judged as openai_compatible\n"


def test_the_dialect_of_unknown_providers_can_be_named(keybroker: Keybroker) -> None:
    row = lines(a_row(provider="nobody"))
    result = keybroker("classify", "--else", "groq", "--explain", stdin=row)
    assert result.lines[0]["dialect"] == "groq"
    refused = keybroker("classify", "--else", "", stdin=row)
    assert refused.code == Exit.USAGE
    assert "'nobody' is neither a dialect nor" in refused.err
    wrong = keybroker("classify", "--else", "klingon", stdin=row)
    assert wrong.code == Exit.USAGE
    assert "'klingon' is none of " in wrong.err


def test_no_lines_are_no_error(keybroker: Keybroker) -> None:
    assert keybroker("classify") == (Exit.OK, "", "")


def test_thousands_of_lines_are_judged_in_a_second(keybroker: Keybroker) -> None:
    data = lines(*(a_row(id=number) for number in range(3000)))
    began = time.monotonic()
    result = keybroker("classify", stdin=data)
    assert len(result.lines) == 3000
    assert time.monotonic() - began < 5.0
