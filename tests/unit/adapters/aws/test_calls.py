"""How many calls a reading makes, what they need, and which answers are no answers."""

from typing import Any

import pytest

from broker.adapters.aws import Selector
from broker.ports.errors import SourceUnavailableError
from tests.unit.adapters.aws.given import (
    DENIED,
    THROTTLED,
    FakeAws,
    arn,
    faults,
    plaintexts,
    source,
    under,
)


async def test_one_secret_by_name_is_one_call_and_needs_no_other_permission() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, Selector(name="kb/openai"))
    await reading.load()
    aws.calls.clear()
    assert await plaintexts(reading) == {"openai/default": "sk-1"}
    assert aws.calls == {"get_secret_value": 1}


async def test_secrets_are_asked_for_twenty_at_a_time() -> None:
    aws = FakeAws()
    names = [f"kb/{number}" for number in range(45)]
    for name in names:
        aws.put(name, f"sk-{name}")
    reading = source(aws, *(Selector(name=name, provider="openai") for name in names))
    assert len(await plaintexts(reading)) == 45
    assert sorted(len(ids) for ids in aws.asked) == [5, 20, 20]
    assert aws.calls["get_secret_value"] == 0


async def test_a_listing_is_read_page_by_page() -> None:
    aws = FakeAws()
    aws.page = 2
    for number in range(5):
        aws.put(f"kb/{number}", f"sk-{number}")
    assert len(await plaintexts(source(aws, under(provider="openai")))) == 5
    assert aws.calls["list_secrets"] == 3


async def test_without_the_permission_to_batch_each_secret_is_asked_for() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/gemini", "sk-2")
    aws.failing["batch_get_secret_value"] = DENIED
    reading = source(aws, under())
    for _ in range(3):
        assert len(await plaintexts(reading)) == 2
    assert aws.calls["batch_get_secret_value"] == 1
    assert aws.calls["get_secret_value"] == 6


async def test_more_than_twenty_secrets_are_not_asked_for_one_by_one() -> None:
    aws = FakeAws()
    for number in range(25):
        aws.put(f"kb/{number}", f"sk-{number}")
    aws.failing["batch_get_secret_value"] = DENIED
    reading = source(aws, under(provider="openai"))
    with pytest.raises(SourceUnavailableError, match="permission secretsmanager:BatchGetSecretVal"):
        await reading.load()
    del aws.failing["batch_get_secret_value"]
    assert len(await plaintexts(reading)) == 25


async def test_without_the_permission_to_list_names_are_still_read() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.failing["list_secrets"] = DENIED
    reading = source(aws, Selector(name="kb/openai"), under("more/"), Selector(tag="a=b"))
    snapshot = await reading.load()
    assert [key.key_id for key in snapshot.keys] == ["openai/default"]
    assert [f"{fault.place}: {fault.message}" for fault in snapshot.faults] == [
        "more/*: may not be listed: grant secretsmanager:ListSecrets",
        "tag a=b: may not be listed: grant secretsmanager:ListSecrets",
    ]


async def test_what_was_listed_before_is_read_while_nothing_can_be_listed() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, under())
    await reading.load()
    aws.failing["list_secrets"] = THROTTLED
    aws.put("kb/openai", "sk-2")
    assert await plaintexts(reading) == {"openai/default": "sk-2"}
    assert await faults(reading) == ["kb/*: was not listed: AWS throttles the calls"]


async def test_more_secrets_than_are_sane_are_cut_off_with_a_fault() -> None:
    aws = FakeAws()
    for number in range(501):
        aws.put(f"kb/{number:03}", f"sk-{number}")
    snapshot = await source(aws, under(provider="openai")).load()
    assert len(snapshot.keys) == 500
    assert [fault.message for fault in snapshot.faults] == [
        "gives more than 500 secrets: those after them are not read"
    ]


async def test_a_listing_without_an_end_is_left_with_a_fault() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    entry = {"ARN": arn("kb/openai"), "Name": "kb/openai"}
    aws.answers["list_secrets"] = {"SecretList": [entry], "NextToken": "again"}
    reading = source(aws, under())
    assert await faults(reading) == ["kb/*: fits too many secrets to list them all: narrow it"]
    assert aws.calls["list_secrets"] == 20


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"SecretList": None},
        {"SecretList": "kb/openai"},
        {"message": '{"SecretList": ['},
    ],
)
async def test_a_listing_that_cannot_be_read_takes_nothing_away(answer: dict[str, Any]) -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, under())
    await reading.load()
    aws.answers["list_secrets"] = answer
    assert await plaintexts(reading) == {"openai/default": "sk-1"}
    assert await faults(reading) == ["kb/*: was not listed: AWS gave an answer that cannot be read"]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"SecretString": "sk-canary"},
        {"ARN": "", "Name": "", "VersionId": "", "SecretString": "sk-canary"},
        {"ARN": arn("a"), "Name": "a", "SecretString": "sk-canary"},
        {"ARN": arn("a"), "Name": "a", "VersionId": "1", "SecretString": ["sk-canary"]},
        {"ARN": ["sk-canary"], "Name": "a", "VersionId": "1", "SecretString": "sk-canary"},
        {"ARN": arn("b"), "Name": "sk-canary", "VersionId": "1", "SecretString": "sk-canary"},
    ],
)
async def test_a_value_that_cannot_be_read_is_a_fault_and_is_not_quoted(
    answer: dict[str, Any],
) -> None:
    aws = FakeAws()
    aws.answers["get_secret_value"] = answer
    with pytest.raises(SourceUnavailableError) as caught:
        await source(aws, Selector(name="a")).load()
    assert "a was not read: AWS gave an answer that cannot be read" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"SecretValues": [None, 7, {"ARN": 1}], "Errors": [None, {"SecretId": ["kb/openai"]}]},
        {"SecretValues": {}, "Errors": []},
        {"SecretValues": [], "Errors": "all"},
    ],
)
async def test_what_a_batch_does_not_tell_is_asked_for_or_not_believed(
    answer: dict[str, Any],
) -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/gemini", "sk-2")
    aws.answers["batch_get_secret_value"] = answer
    reading = source(aws, under())
    if isinstance(answer.get("SecretValues"), list) and isinstance(answer["Errors"], list):
        assert len(await plaintexts(reading)) == 2
    else:
        with pytest.raises(SourceUnavailableError, match="an answer that cannot be read"):
            await reading.load()
