"""Files of keys: what is in them is read as it was written, and what is wrong is told by line."""

import io
from io import BufferedReader

import pytest

from broker.adapters.sources.fault import Fault
from broker.cli.transfer.files import Form, form_of, read_keys
from keybroker.v1 import admin_pb2, key_pb2

SECRET = "sk-canary-7f3a"


def opened(data: bytes | str) -> BufferedReader:
    raw = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return BufferedReader(raw)


def read(
    form: Form, data: bytes | str, *providers: str
) -> tuple[list[admin_pb2.ImportedKey], dict[int, str]]:
    """The keys of a file, and what is wrong by line; no word of that is a secret."""
    found = list(read_keys(form, opened(data), providers))
    faults = [one for one in found if isinstance(one, Fault)]
    assert not any("canary" in fault.message for fault in faults)
    assert len({fault.line for fault in faults}) == len(faults)
    keys = [one for one in found if not isinstance(one, Fault)]
    return keys, {fault.line: fault.message for fault in faults}


def csv(*lines: str) -> tuple[list[admin_pb2.ImportedKey], dict[int, str]]:
    return read(Form.CSV, "".join(f"{line}\n" for line in lines))


def jsonl(*lines: str) -> tuple[list[admin_pb2.ImportedKey], dict[int, str]]:
    return read(Form.JSONL, "".join(f"{line}\n" for line in lines))


HEADER = "tenant_id,provider,secret"
ROW = f"acme,openai,{SECRET}"
SETTINGS = key_pb2.KeySettings(
    weight=2.5,
    priority=-1,
    models={"gpt-4*": "", "fast": "gpt-mini"},
    limits=key_pb2.KeyLimits(concurrency=3, requests_per_minute=60, tokens_per_minute=10**12),
    account="main",
    base_url="https://eu.example/v1",
)
SETTINGS.expire_time.FromJsonString("2030-01-31T12:00:00Z")
WHOLE = admin_pb2.ImportedKey(
    line=2,
    tenant_id="acme",
    provider="openai",
    key_id="acme-1",
    settings=SETTINGS,
    secret=key_pb2.SecretValue(plaintext=SECRET),
)


def test_a_csv_row_says_all_that_can_be_set() -> None:
    keys, faults = csv(
        "tenant_id,provider,secret,key_id,models,weight,priority,concurrency,requests_per_minute,"
        "tokens_per_minute,account,expires_at,base_url",
        f'acme,openai,{SECRET},acme-1,"gpt-4*,fast=gpt-mini",2.5,-1,3,60,1000000000000,main,'
        "2030-01-31T12:00:00Z,https://eu.example/v1",
    )
    assert (keys, faults) == ([WHOLE], {})


def test_a_json_line_says_the_same() -> None:
    keys, faults = jsonl(
        "",
        '{"tenant_id": "acme", "provider": "openai", "key_id": "acme-1",'
        ' "models": {"gpt-4*": "", "fast": "gpt-mini"}, "weight": 2.5, "priority": -1,'
        ' "concurrency": 3, "requests_per_minute": 60, "tokens_per_minute": 1000000000000,'
        ' "account": "main", "expires_at": "2030-01-31T12:00:00Z",'
        f' "base_url": "https://eu.example/v1", "secret": "{SECRET}"}}',
    )
    assert (keys, faults) == ([WHOLE], {})


def test_what_is_not_said_is_not_set() -> None:
    (first, second), faults = csv(
        f"{HEADER},weight,expires_at", f"{ROW},,", " acme , openai , x ,, "
    )
    assert faults == {}
    assert not first.HasField("settings")
    assert (second.tenant_id, second.provider) == ("acme", "openai")
    ((third,), faults) = jsonl('{"provider": "openai", "secret": "x", "weight": null}')
    assert faults == {}
    assert third == admin_pb2.ImportedKey(
        line=1, provider="openai", secret=key_pb2.SecretValue(plaintext="x")
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_byte_order_marks_and_line_ends_of_other_systems_do_not_matter(
    end: str, bom: bytes, *, last: bool
) -> None:
    text = end.join((HEADER, "", ROW, "  ", ROW)) + end * last
    keys, faults = read(Form.CSV, bom + text.encode())
    assert faults == {}
    assert [(key.line, key.secret.plaintext) for key in keys] == [(3, SECRET), (5, SECRET)]


def test_quoted_values_keep_commas_and_quotes() -> None:
    (key,), faults = csv(HEADER, f'"a, ""b""",openai,"{SECRET}"')
    assert (key.tenant_id, faults) == ('a, "b"', {})


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (ROW, "column 1 is none of tenant_id, provider"),
        (f"{HEADER},colour", "column 4 is none of"),
        (f"{HEADER},secret", "names a column twice"),
        ("tenant_id,secret", "there is no column provider"),
        ("tenant_id", "there is no column provider and no column secret"),
        (HEADER.replace(",", ";"), "not separated by commas"),
        (HEADER.replace(",", "\t"), "not separated by commas"),
        (f'"{HEADER}', "has a quote that is not closed"),
    ],
)
def test_without_its_columns_nothing_of_a_csv_file_is_read(header: str, problem: str) -> None:
    keys, faults = csv(header, ROW, ROW)
    assert keys == []
    assert problem in faults[1]


def test_columns_may_stand_in_any_order_and_case() -> None:
    (key,), faults = csv("Secret , PROVIDER,tenant_id", f"{SECRET},openai,acme")
    assert (key.tenant_id, key.secret.plaintext, faults) == ("acme", SECRET, {})


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("weight", "0", "must be a number above 0"),
        ("weight", "-1", "must be a number above 0"),
        ("weight", "nan", "must be a number above 0"),
        ("weight", "1e999", "must be a number above 0"),
        ("weight", SECRET, "must be a number above 0"),
        ("priority", "1.5", "must be a whole number"),
        ("priority", str(2**31), "is out of range"),
        ("concurrency", SECRET, "must be a whole number"),
        ("tokens_per_minute", "9" * 18, ""),
        ("tokens_per_minute", "9" * 19, "must be a whole number"),
        ("requests_per_minute", "١٢", "must be a whole number"),
        ("expires_at", "tomorrow", "must be a time"),
        ("expires_at", "2030-02-31", "must be a time"),
        ("expires_at", "2030-01-31", ""),
        ("models", "a=", "must be a comma list"),
        ("models", "a,,b", "must be a comma list"),
        ("models", "a,a", "names the same model or pattern twice"),
    ],
)
def test_values_that_do_not_fit_are_told_and_not_repeated(
    column: str, value: str, problem: str
) -> None:
    keys, faults = csv(f"{HEADER},{column}", f'{ROW},"{value}"', f"{ROW},")
    assert len(keys) == (1 if problem else 2)
    assert (f"{column}: {problem}" in faults.get(2, "")) == bool(problem)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "is no JSON object"),
        ('"x"', "is no JSON object"),
        ("{", "is no JSON object on one line: see column"),
        (f'{{"secret": "{SECRET}"', "is no JSON object on one line"),
        ('{"weight": NaN}', "is no JSON object on one line"),
        ("[" * 100_000, "is no JSON object on one line"),
        ('{"weight": ' + "9" * 5000 + "}", "is no JSON object on one line"),
        ('{"weight": 1e999}', "weight: must be a number above 0"),
        ('{"weight": ' + "9" * 400 + "}", "weight: must be a number above 0"),
        ('{"weight": true}', "weight: must be a number above 0"),
        ('{"weight": "1"}', "weight: must be a number above 0"),
        ('{"priority": 1.0}', "priority: must be a whole number"),
        ('{"priority": false}', "priority: must be a whole number"),
        ('{"concurrency": 99999999999}', "concurrency: is out of range"),
        ('{"secret": 7}', "secret: must be a text"),
        ('{"secret": "\\ud800"}', "secret: is out of range"),
        (f'{{"{SECRET}": 7}}', "a name is none of"),
        ('{"colour": 7}', "colour is none of"),
        ('{"secret": "a", "secret": "b"}', "has a name twice"),
        ('{"models": "gpt"}', "models: must be a list of models"),
        ('{"models": ["gpt", 7]}', "models: must be a text"),
        ('{"models": {"gpt": {}}}', "models: must be a text"),
        ('{"expires_at": 7}', "expires_at: must be a text"),
        ('{"sealed": {}}', "sealed: must be a list of revisions"),
        ('{"sealed": [7]}', "sealed: each revision must be an object of"),
        ('{"sealed": [{"colour": "x"}]}', "sealed: each revision must be an object of"),
        ('{"sealed": [{"wrapped_key": "???"}]}', "sealed: wrapped_key is not as"),
        ('{"sealed": [{"create_time": "x"}]}', "sealed: create_time is not as"),
        ('{"secret": "x", "sealed": []}', "has both secret and sealed"),
    ],
)
def test_json_lines_that_are_no_keys_are_told(line: str, problem: str) -> None:
    keys, faults = jsonl(line, '{"provider": "openai"}')
    assert len(keys) == 1
    assert problem in faults[1]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\xff\xfea", "is not UTF-8"),
        (b"acme,openai,\xe9", "is not UTF-8"),
        (b"acme,openai,\0", "has a NUL byte"),
        (b"acme,openai,\x1b[31m", "has control characters"),
        (b"acme,openai,a\racme,openai,b", "has control characters"),
        (b"x" * (10 * 1024 * 1024), "is longer than 1 MiB"),
        (b"acme,openai", "has 2 values for 3 columns"),
        (b"acme,openai,a,b", "has 4 values for 3 columns"),
        (b'acme,openai,"a', "has a quote that is not closed"),
        (b'acme,openai,"a"b', "has a quote that is not closed"),
    ],
)
def test_lines_that_are_no_text_or_no_row_spoil_no_others(line: bytes, problem: str) -> None:
    keys, faults = read(Form.CSV, b"\n".join((HEADER.encode(), line, ROW.encode(), line)))
    assert [key.line for key in keys] == [3]
    assert problem in faults[2]
    assert problem in faults[4]


@pytest.mark.parametrize("form", [Form.CSV, Form.JSONL, Form.ENV])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_file_in_another_encoding_is_told(form: Form, encoding: str) -> None:
    keys, faults = read(form, f"{HEADER}\n{ROW}\n".encode(encoding))
    assert keys == []
    assert 1 in faults
    assert "UTF-16" in faults[1] or "NUL" in faults[1]


@pytest.mark.parametrize("form", [Form.CSV, Form.JSONL, Form.ENV])
@pytest.mark.parametrize("data", ["", "\n\n", "\ufeff"])
def test_an_empty_file_has_no_keys_and_no_faults(form: Form, data: str) -> None:
    assert read(form, data) == ([], {})


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("keys.csv", "{", Form.CSV),
        ("keys.CSV", "", Form.CSV),
        (".env", "", Form.ENV),
        (".env.production", "", Form.ENV),
        ("acme.env", "{", Form.ENV),
        ("keys.jsonl", "", Form.JSONL),
        ("keys.ndjson", "", Form.JSONL),
        ("-", f"{HEADER}\n{ROW}", Form.CSV),
        ("-", '\n\n {"a": 1}', Form.JSONL),
        ("-", "# hello\n\nexport OPENAI_API_KEY=1", Form.ENV),
        ("keys.txt", "\ufeffOPENAI_API_KEY = 1", Form.ENV),
        ("-", "", Form.CSV),
    ],
)
def test_a_file_is_what_its_name_says_else_its_first_line(name: str, data: str, form: Form) -> None:
    file = opened(data)
    assert form_of(name, file) is form
    assert file.read() == data.encode()
