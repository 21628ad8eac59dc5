"""What a TOML file of keys means, and what is said of one that means nothing."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.adapters.toml import TomlKeySource
from broker.core.key import KeyLimits
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot

CANARY = "sk-canary-0123456789"
PROVIDERS = ("openai", "azure-eastus", "anthropic")
ONE = '[[openai]]\nsecret = "a"\n'


def source(folder: Path, text: str | bytes, environ: dict[str, str] | None = None) -> TomlKeySource:
    put(folder, text)
    return TomlKeySource(folder / "keys.toml", environ or {}, PROVIDERS, b"f", pause_s=0.0)


def put(folder: Path, text: str | bytes, name: str = "keys.toml") -> None:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)


def ids(snapshot: SourceSnapshot) -> dict[str, str]:
    return {key.key_id: key.secret.reveal() for key in snapshot.keys}


def faults(snapshot: SourceSnapshot) -> list[str]:
    return [f"{fault.place} {fault.message}" for fault in snapshot.faults]


async def test_a_table_is_a_key_and_its_name_is_the_key_s(tmp_path: Path) -> None:
    text = '[[openai]]\nname = "a"\nsecret = "1"\n[[azure-eastus]]\nsecret = "2"\n'
    snapshot = await source(tmp_path, text).load()
    assert ids(snapshot) == {"openai/a": "1", "azure-eastus/default": "2"}
    assert snapshot.faults == ()


async def test_a_table_says_all_there_is_to_say_about_a_key(tmp_path: Path) -> None:
    text = """
        [[openai]]
        name = "batch"
        secret = "sk"
        models = { "gpt-4o" = "big", "o*" = "" }
        weight = 2
        priority = -1
        limits = { concurrency = 4, requests_per_minute = 5, tokens_per_minute = 6 }
        account = "acme"
        expires_at = 2027-01-31T00:00:00Z
        base_url = "https://eu.acme.example/v1/"
    """
    (key,) = (await source(tmp_path, text).load()).keys
    assert (key.key_id, key.weight, key.priority) == ("openai/batch", 2.0, -1)
    assert key.models == {"gpt-4o": "big", "o*": ""}
    assert (key.limits, key.account) == (KeyLimits(4, 5, 6), "acme")
    assert key.expires_at == datetime(2027, 1, 31, tzinfo=UTC)
    assert key.base_url == "https://eu.acme.example/v1"


async def test_there_is_more_than_one_way_to_write_it(tmp_path: Path) -> None:
    text = """
        [[openai]]
        secret = "sk"
        models = ["gpt-4o", "o*"]
        expires_at = "2027-01-31T00:00:00Z"
        weight = 0.5
        limits.concurrency = 4
        [[openai]]
        name = "b"
        secret = "sk-b"
        [openai.limits]
        concurrency = 5
    """
    first, second = (await source(tmp_path, text).load()).keys
    assert first.models == {"gpt-4o": "", "o*": ""}
    assert first.expires_at == datetime(2027, 1, 31, tzinfo=UTC)
    assert (first.limits.concurrency, second.limits.concurrency) == (4, 5)


async def test_a_secret_may_stand_in_a_variable_or_in_a_file(tmp_path: Path) -> None:
    put(tmp_path, "sk-file\n", "mounted")
    text = (
        '[[openai]]\nsecret = { env = "NAME" }\n'
        '[[openai]]\nname = "b"\nsecret = { file = "mounted" }\n'
        f'[[anthropic]]\nsecret = {{ file = "{tmp_path}/mounted" }}\n'
    )
    watched = source(tmp_path, text, {"NAME": "sk-env"})
    expected = {"openai/default": "sk-env", "openai/b": "sk-file", "anthropic/default": "sk-file"}
    assert ids(await watched.load()) == expected
    put(tmp_path, "sk-new\n", "mounted")
    assert ids(await watched.load())["openai/b"] == "sk-new"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[openai]]\n", "1 the key has no secret"),
        ('[[openai]]\nsecret = ""\n', "2 secret has no value; the key is not used"),
        (
            "[[openai]]\nsecret = 3\n",
            (
                '2 secret must be a text, { env = "NAME" } or { file = "/path" };'
                " the key is not used"
            ),
        ),
        (
            '[[openai]]\nsecret = { env = "ABSENT" }\n',
            "2 secret names a variable that is not set; the key is not used",
        ),
        (
            '[[openai]]\nsecret = { file = "absent" }\n',
            (
                "2 secret names a file that cannot be read: No such file or directory;"
                " the key is not used"
            ),
        ),
        (
            '[[openai]]\nsecret = "a b"\n',
            (
                "2 the secret of openai/default (line 1) has characters that cannot travel in a"
                " header; it is not used"
            ),
        ),
        (
            '[[openai]]\nsecret = "a"\nname = "a"\n',
            ("2 the secret of openai/a (line 1) is also the key's name or account; it is not used"),
        ),
        (
            f'{ONE}\n[[openai]]\nname = "b"\nsecret = "a"\n',
            (
                "6 the secret of openai/b (line 4) is the same secret as the secret of"
                " openai/default (line 1), which stays"
            ),
        ),
        (
            f'{ONE}[[openai]]\nsecret = "b"\n',
            (
                "4 the secret of openai/default (line 3) has the name of the secret of"
                " openai/default (line 1), openai/default, which stays: give it another"
            ),
        ),
        (f'{ONE}weight = "2"\n', "3 weight must be a number; the key is not used"),
        (f"{ONE}weight = true\n", "3 weight must be a number; the key is not used"),
        (f"{ONE}weight = nan\n", "3 weight must be a finite number; the key is not used"),
        (f"{ONE}weight = 0\n", "3 weight must be a number above 0; the key is not used"),
        (
            f"{ONE}priority = 1.0\n",
            (
                "3 priority must be a whole number from -1000000000 to 1000000000;"
                " the key is not used"
            ),
        ),
        (
            f"{ONE}limits = {{ concurrency = true }}\n",
            (
                "3 limits.concurrency must be a whole number from 0 to 1000000000;"
                " the key is not used"
            ),
        ),
        (
            f"{ONE}\n[openai.limits]\n\ntokens_per_minute = -1\n",
            (
                "6 limits.tokens_per_minute must be a whole number from 0 to 1000000000;"
                " the key is not used"
            ),
        ),
        (
            f"{ONE}limits = 4\n",
            "3 limits must be a table, such as { concurrency = 4 }; the key is not used",
        ),
        (
            f"{ONE}models = []\n",
            (
                "3 models must be a list of models or patterns, or a table of model ="
                ' "provider\'s name for it"; the key is not used'
            ),
        ),
        (f'{ONE}name = ["x"]\n', "3 name must be a text in quotes; the key is not used"),
        (
            f"{ONE}expires_at = 2027-01-31\n",
            (
                "3 expires_at must be an RFC 3339 time with its zone, such as"
                " 2027-01-31T00:00:00Z; the key is not used"
            ),
        ),
        (
            f'{ONE}base_url = "http://acme.example"\n',
            ("3 base_url must begin with https://, or http:// on loopback; the key is not used"),
        ),
        (
            f"{ONE}weigth = 2\n",
            (
                "3 weigth is no field: expected one of account, base_url, expires_at,"
                " limits.concurrency, limits.requests_per_minute, limits.tokens_per_minute,"
                " models, name, priority, secret, weight; the key is not used"
            ),
        ),
        (
            '\n[[opnai]]\nsecret = "a"\n',
            "2 is about no provider that is configured: did you mean openai?",
        ),
        (
            'secret = "a"\n',
            (
                "1 is about no provider that is configured: use one of anthropic, azure-eastus,"
                " openai"
            ),
        ),
        (
            '\n[openai]\nsecret = "a"\n',
            "2 must be a table a key, each under [[openai]]",
        ),
        ("openai = [1]\n", "1 must be a table a key, each under [[openai]]"),
        (f'{ONE}secret = "b"\n', "3 is not TOML: this is set twice"),
        ("\n[[openai]]\nsecret = sk\n", "3 is not TOML: invalid value"),
        ('[[openai]]\nsecret = "sk\n', "2 is not TOML: illegal character"),
        ("[[openai]]\nsecret\n", "2 is not TOML: this is no field = value"),
        (
            "[openai]\n[openai]\n",
            "2 is not TOML: this table is there twice: begin each key with [[provider]]",
        ),
        (b"[[openai]]\nname = '\xff'\n", "2 is not UTF-8"),
        (b"\xff\xfe[\0", "1 the file is UTF-16: save it as UTF-8"),
    ],
)
async def test_a_fault_is_told_with_its_line(
    text: str | bytes, expected: str, tmp_path: Path
) -> None:
    snapshot = await source(tmp_path, text).load()
    assert faults(snapshot) == [f"keys.toml:{expected}"]


async def test_a_file_that_is_nested_too_deeply_is_a_fault(tmp_path: Path) -> None:
    snapshot = await source(tmp_path, "x = " + "[" * 100_000).load()
    assert faults(snapshot) == ["keys.toml is nested too deeply"]


async def test_all_faults_are_told_at_once_and_spoil_no_other_key(tmp_path: Path) -> None:
    text = (
        'models = ["x"]\n[[openai]]\nname = "a"\nweight = "x"\npriority = "y"\nsecret = 1\n'
        '[[anthropic]]\nsecret = "good"\n[[nobody]]\n'
    )
    snapshot = await source(tmp_path, text).load()
    assert [fault.place for fault in snapshot.faults] == [
        f"keys.toml:{line}" for line in (1, 4, 5, 6, 9)
    ]
    assert ids(snapshot) == {"anthropic/default": "good"}


@pytest.mark.parametrize(
    "text",
    [
        f"[[openai]]\nsecret = {CANARY}\n",
        f'[[openai]]\nsecret = "{CANARY}\n',
        f'[[openai]]\nsecret = "{CANARY} {CANARY}"\n',
        f'[[openai]]\nsecret = {{ env = "{CANARY}" }}\n',
        f'[[openai]]\nsecret = {{ file = "{CANARY}" }}\n',
        f'[[openai]]\n"{CANARY}" = 1\nsecret = "a"\n',
        f'[[openai]]\nsecret = "a"\nweight = "{CANARY}"\n',
        f'[[openai]]\nsecret = "a"\nbase_url = "{CANARY}"\n',
        f'[["{CANARY}"]]\nsecret = "a"\n',
        f'[["{CANARY}"]]\n[["{CANARY}"]\n',
        f"x = {{ {CANARY} = 1, {CANARY} = 2 }}\n",
        f'["{CANARY}"]\n["{CANARY}"]\n',
    ],
)
async def test_no_fault_quotes_what_could_be_a_secret(text: str, tmp_path: Path) -> None:
    snapshot = await source(tmp_path, text).load()
    assert snapshot.faults
    assert "canary" not in repr(snapshot)


async def test_a_file_that_cannot_be_read_is_unavailable_and_says_why(tmp_path: Path) -> None:
    watched = source(tmp_path, ONE)
    await watched.load()
    (tmp_path / "keys.toml").unlink()
    with pytest.raises(SourceUnavailableError, match="No such file or directory; what was read"):
        await watched.load()
    os.mkfifo(tmp_path / "keys.toml")
    with pytest.raises(SourceUnavailableError, match="it is no regular file; what was read"):
        await watched.load()


async def test_an_emptied_file_is_a_fault(tmp_path: Path) -> None:
    watched = source(tmp_path, ONE)
    await watched.load()
    for text in ("", "# nothing\n", "openai = []\n"):
        put(tmp_path, text)
        assert "has no keys any more" in (await watched.load()).faults[0].message
    put(tmp_path, ONE)
    assert (await watched.load()).faults == ()


async def test_where_nothing_changed_the_very_same_snapshot_is_given(tmp_path: Path) -> None:
    watched = source(tmp_path, ONE)
    assert await watched.load() is await watched.load()
