"""What only this source does: which variables mean which keys."""

import os
from pathlib import Path

import pytest

from broker.adapters.env import EnvKeySource
from broker.core.key import Key, KeyLimits
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceSnapshot

CANARY = "sk-canary-0123456789"
PROVIDERS = ("openai", "azure-eastus", "anthropic")


async def load(
    environ: dict[str, str], text: str | None = None, folder: Path | None = None
) -> SourceSnapshot:
    file = None
    if text is not None and folder is not None:
        file = folder / ".env"
        file.write_text(text)
    return await EnvKeySource(environ, file, PROVIDERS, b"fingerprints").load()


def ids(snapshot: SourceSnapshot) -> dict[str, str]:
    return {key.key_id: key.secret.reveal() for key in snapshot.keys}


def faults(snapshot: SourceSnapshot) -> list[str]:
    return [f"{fault.place} {fault.message}" for fault in snapshot.faults]


async def test_a_variable_s_number_is_the_key_s_name() -> None:
    snapshot = await load(
        {"OPENAI_API_KEY": "a", "OPENAI_API_KEY_2": "b", "OPENAI_API_KEY_10": "c"}
    )
    assert ids(snapshot) == {"openai/default": "a", "openai/2": "b", "openai/10": "c"}
    assert list(ids(snapshot)) == ["openai/default", "openai/2", "openai/10"]


async def test_a_provider_s_variable_is_its_name_in_capitals() -> None:
    snapshot = await load({"AZURE_EASTUS_API_KEY": "a", "AZURE_API_KEY": "b", "PATH": "/bin"})
    assert ids(snapshot) == {"azure-eastus/default": "a"}
    assert faults(snapshot) == []


async def test_keys_of_a_list_keep_their_ids_when_another_is_taken_out() -> None:
    """Health hangs on the key id: were it the position, each would inherit its neighbour's."""
    before = await load({"OPENAI_API_KEY": "a, b,c"})
    after = await load({"OPENAI_API_KEY": "c,b"})
    assert len(ids(before)) == 3
    assert ids(after).items() < ids(before).items()
    assert all(key.key_id == f"openai/k-{key.revision[:8]}" for key in before.keys)


async def test_attributes_say_all_there_is_to_say_about_a_key() -> None:
    (key,) = (
        await load(
            {
                "OPENAI_API_KEY_2": CANARY,
                "OPENAI_API_KEY_2__NAME": "batch",
                "OPENAI_API_KEY_2__WEIGHT": "2",
                "OPENAI_API_KEY_2__PRIORITY": "1",
                "OPENAI_API_KEY_2__MODELS": "gpt-4o=big,o*",
                "OPENAI_API_KEY_2__CONCURRENCY": "4",
                "OPENAI_API_KEY_2__REQUESTS_PER_MINUTE": "5",
                "OPENAI_API_KEY_2__TOKENS_PER_MINUTE": "6",
                "OPENAI_API_KEY_2__ACCOUNT": "acme",
                "OPENAI_API_KEY_2__EXPIRES_AT": "2027-01-31T00:00:00Z",
                "OPENAI_API_KEY_2__BASE_URL": "https://eu.acme.example/v1/",
            }
        )
    ).keys
    assert (key.key_id, key.weight, key.priority) == ("openai/batch", 2.0, 1)
    assert key.models == {"gpt-4o": "big", "o*": ""}
    assert (key.limits, key.account) == (KeyLimits(4, 5, 6), "acme")
    assert (str(key.expires_at), key.base_url) == (
        "2027-01-31 00:00:00+00:00",
        "https://eu.acme.example/v1",
    )


async def test_attributes_of_a_list_hold_for_each_of_its_keys() -> None:
    snapshot = await load({"OPENAI_API_KEY": "a,b", "OPENAI_API_KEY__ACCOUNT": "acme"})
    assert [key.account for key in snapshot.keys] == ["acme", "acme"]


async def test_the_process_environment_wins_over_the_file(tmp_path: Path) -> None:
    text = "OPENAI_API_KEY=file\nOPENAI_API_KEY_1=file-1\nOPENAI_API_KEY__WEIGHT=3\n"
    snapshot = await load({"OPENAI_API_KEY": "process"}, text, tmp_path)
    assert ids(snapshot) == {"openai/default": "process", "openai/1": "file-1"}
    assert snapshot.keys[0].weight == 3.0


async def test_an_empty_variable_of_the_process_counts_as_unset(tmp_path: Path) -> None:
    """Compose files pass on `OPENAI_API_KEY=` when nobody set it."""
    snapshot = await load({"OPENAI_API_KEY": " "}, "OPENAI_API_KEY=file\n", tmp_path)
    assert (ids(snapshot), faults(snapshot)) == ({"openai/default": "file"}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OPENAI_API_KEY=\n", ".env:1 OPENAI_API_KEY has no value"),
        ("\nOPENAI_API_KEY='' # none\n", ".env:2 OPENAI_API_KEY has no value"),
        ("OPENAI_API_KEY\n", ".env:1 is not NAME=value"),
        (
            "OPENAI_API_KEY=a\nOPENAI_API_KEY=b\n",
            ".env:2 OPENAI_API_KEY is set on line 1 already, which stays",
        ),
        ("OPENAI_API_KEY=a,,b\n", ".env:1 secret 2 in OPENAI_API_KEY is empty"),
        (
            "OPENAI_API_KEY_1=a\nOPENAI_API_KEY_2=a\n",
            ".env:2 OPENAI_API_KEY_2 is the same secret as OPENAI_API_KEY_1, which stays",
        ),
        (
            "OPENAI_API_KEY_1=a\nOPENAI_API_KEY_2=b,a\n",
            (
                ".env:2 secret 2 in OPENAI_API_KEY_2 is the same secret as OPENAI_API_KEY_1,"
                " which stays"
            ),
        ),
        (
            "OPENAI_API_KEY_1=a\nOPENAI_API_KEY_2=b\nOPENAI_API_KEY_2__NAME=1\n",
            (
                ".env:2 OPENAI_API_KEY_2 has the name of OPENAI_API_KEY_1, openai/1, which stays:"
                " give it another"
            ),
        ),
        (
            "OPENAI_API_KEY=a,b\nOPENAI_API_KEY__NAME=x\n",
            (
                ".env:2 OPENAI_API_KEY__NAME cannot name a list of keys:"
                " number them, OPENAI_API_KEY_1 and so on"
            ),
        ),
        (
            "OPENAI_API_KEY_7__WEIGHT=2\n",
            ".env:1 OPENAI_API_KEY_7__WEIGHT is about OPENAI_API_KEY_7, which is not set",
        ),
        (
            "OPENAI_API_KEY=a\nOPENAI_API_KEY__WEIGHT=heavy\n",
            ".env:2 OPENAI_API_KEY__WEIGHT must be a number; the key is not used",
        ),
        (
            "OPENAI_API_KEY_BACKUP=a\n",
            (
                ".env:1 OPENAI_API_KEY_BACKUP is not read:"
                " expected OPENAI_API_KEY or OPENAI_API_KEY_<number>"
            ),
        ),
        (
            "OPENAI_API_KEY_01=a\n",
            (
                ".env:1 OPENAI_API_KEY_01 is not read:"
                " expected OPENAI_API_KEY or OPENAI_API_KEY_<number>"
            ),
        ),
        (
            "OPENAI_API_KEY='a b'\n",
            ".env:1 OPENAI_API_KEY has characters that cannot travel in a header; it is not used",
        ),
        (
            "OPENAI_API_KEY=ключ\n",
            ".env:1 OPENAI_API_KEY has characters that cannot travel in a header; it is not used",
        ),
        (
            f"OPENAI_API_KEY={'a' * 8193}\n",
            ".env:1 OPENAI_API_KEY is longer than 8192 characters; it is not used",
        ),
        (
            "OPENAI_API_KEY=a\nOPENAI_API_KEY__NAME=a\n",
            ".env:1 OPENAI_API_KEY is also the key's name or account; it is not used",
        ),
    ],
)
async def test_a_faulty_line_is_told_with_its_number(
    text: str, expected: str, tmp_path: Path
) -> None:
    snapshot = await load({}, text + "ANTHROPIC_API_KEY=good\n", tmp_path)
    assert faults(snapshot) == [expected]
    assert ids(snapshot)["anthropic/default"] == "good"


async def test_a_key_with_a_wrong_attribute_is_not_used() -> None:
    """Without its cap or its base URL it would cost money, or go to the wrong place."""
    snapshot = await load(
        {"OPENAI_API_KEY": "a", "OPENAI_API_KEY__BASE_URL": "http://acme.example"}
    )
    assert snapshot.keys == ()
    assert [fault.place for fault in snapshot.faults] == ["environment"]


async def test_all_faults_are_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = "OPENAI_API_KEY_2=\nwhat\nOPENAI_API_KEY_1=x,\nOPENAI_API_KEY_1__WEIGHT=0\n"
    snapshot = await load({"OPENAI_API_KEY_OLD": "a"}, text, tmp_path)
    places = [fault.place for fault in snapshot.faults]
    assert places == ["environment", ".env:1", ".env:2", ".env:3", ".env:4"]


async def test_variables_of_other_programs_are_none_of_our_faults(tmp_path: Path) -> None:
    text = "DEBUG=\nDEBUG=1\nFOO_API_KEY=\nspring.name=x\n"
    assert faults(await load({"LC_ALL": "\udc80"}, text, tmp_path)) == []


async def test_two_providers_with_one_variable_get_no_key_of_it() -> None:
    """A secret that could be sent to the wrong provider is sent to neither."""
    source = EnvKeySource({"MY_LLM_API_KEY": "a"}, None, ("my-llm", "my_llm"), b"f")
    snapshot = await source.load()
    assert snapshot.keys == ()
    assert faults(snapshot) == [
        "environment MY_LLM_API_KEY could belong to my-llm and my_llm: rename one provider"
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"OPENAI_API_KEY\n{CANARY}\n",
        f"OPENAI_API_KEY_{CANARY}=\n",
        f"OPENAI_API_KEY='{CANARY}\n",
        f"OPENAI_API_KEY={CANARY} {CANARY}\n",
        f"OPENAI_API_KEY_1={CANARY}\nOPENAI_API_KEY_2={CANARY},{CANARY}\n",
        f"OPENAI_API_KEY={CANARY}\nOPENAI_API_KEY__NAME={CANARY}\n",
        f"OPENAI_API_KEY=a\nOPENAI_API_KEY__WEIGHT={CANARY}\n",
        f"OPENAI_API_KEY=a\nOPENAI_API_KEY__BASE_URL={CANARY}\n",
    ],
)
async def test_no_fault_quotes_what_could_be_a_secret(text: str, tmp_path: Path) -> None:
    snapshot = await load({}, text, tmp_path)
    assert snapshot.faults
    assert "canary" not in repr(snapshot)


async def test_a_file_that_is_not_there_is_a_fault_only_if_it_was_asked_for(tmp_path: Path) -> None:
    absent = tmp_path / "absent.env"
    source = EnvKeySource({"OPENAI_API_KEY": "a"}, absent, PROVIDERS, b"f")
    assert faults(await source.load()) == []
    required = EnvKeySource({"OPENAI_API_KEY": "a"}, absent, PROVIDERS, b"f", required=True)
    with pytest.raises(SourceUnavailableError, match=r"^absent.env is not there: put it back"):
        await required.load()


async def test_a_folder_or_a_pipe_in_place_of_the_file_is_not_read(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path, tmp_path / "pipe"):
        source = EnvKeySource({"OPENAI_API_KEY": "a"}, file, PROVIDERS, b"f")
        snapshot = await source.load()
        assert ids(snapshot) == {"openai/default": "a"}
        assert faults(snapshot) == [f"{file.name} cannot be read: it is no regular file"]


async def test_a_file_that_was_read_once_and_now_cannot_be_keeps_its_keys(tmp_path: Path) -> None:
    """Unavailable, so that what was read before stays in force: it may be a mistake of a minute."""
    file = tmp_path / ".env"
    file.write_text("OPENAI_API_KEY=a")
    source = EnvKeySource({}, file, PROVIDERS, b"f")
    await source.load()
    file.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(SourceUnavailableError, match="larger than"):
        await source.load()


async def test_a_missing_attribute_leaves_the_key_s_defaults() -> None:
    (key,) = (await load({"OPENAI_API_KEY": "a"})).keys
    plain = Key("openai/default", key.revision, "openai", key.secret, key.provenance)
    assert key == plain
