"""Which keys a reading of Secrets Manager gives, and which it does not take away."""

import pytest

from broker.adapters.aws import AwsCallError, Selector, Trouble
from broker.ports.errors import SourceUnavailableError
from tests.unit.adapters.aws.given import (
    DELETED,
    DENIED,
    UNKNOWN,
    FakeAws,
    arn,
    faults,
    plaintexts,
    source,
    under,
)

TAGGED = Selector(tag="use=keys", provider="openai")


async def test_only_what_fits_counts_whatever_a_listing_names() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1", "use=keys")
    aws.put("KB/gemini", "sk-2", "use=keys")
    aws.put("other/anthropic", "sk-3", "use=key")
    assert await plaintexts(source(aws, under())) == {"openai/default": "sk-1"}
    tagged = source(aws, Selector(tag="use=keys"))
    assert set(await plaintexts(tagged)) == {"openai/default", "gemini/default"}


async def test_two_selectors_may_fit_a_secret_and_the_first_counts() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    named = Selector(name="kb/openai", provider="gemini")
    by_arn = Selector(name=arn("kb/openai").removesuffix("-AbCdEf"))
    assert await plaintexts(source(aws, named, under(), by_arn)) == {"gemini/openai": "sk-1"}
    assert await plaintexts(source(aws, by_arn, named)) == {"openai/default": "sk-1"}


async def test_a_prefix_that_fits_nothing_is_no_fault() -> None:
    assert await faults(source(FakeAws(), under(), TAGGED)) == []


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (UNKNOWN, "there is no such secret, or it has no value"),
        (DELETED, "is marked for deletion"),
        (
            AwsCallError("", Trouble.REFUSED, "InvalidRequestException"),
            "was not read: AWS refused the call (InvalidRequestException)",
        ),
        (DENIED, "may not be read: grant secretsmanager:GetSecretValue on it"),
        (
            AwsCallError("", Trouble.DENIED_KMS, "AccessDeniedException"),
            "its KMS key may not be used: grant kms:Decrypt on that",
        ),
        (
            AwsCallError("", Trouble.REFUSED, "DecryptionFailure"),
            "cannot be decrypted: look at its KMS key",
        ),
    ],
)
async def test_a_named_secret_that_cannot_be_read_is_a_fault_at_its_name(
    failure: AwsCallError, message: str
) -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/gemini", "sk-2")
    aws.failing["kb/openai"] = failure
    reading = source(aws, Selector(name="kb/openai"), Selector(name="kb/gemini"))
    snapshot = await reading.load()
    assert [key.key_id for key in snapshot.keys] == ["gemini/default"]
    assert [(fault.place, fault.message) for fault in snapshot.faults] == [("kb/openai", message)]


async def test_where_no_secret_can_be_read_the_source_is_unavailable_and_says_why() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/gemini", "sk-2")
    aws.failing["kb/openai"] = aws.failing["kb/gemini"] = DENIED
    reading = source(aws, Selector(name="kb/openai"), Selector(name="kb/gemini"))
    message = (
        r"kb/openai may not be read: grant secretsmanager:GetSecretValue on it \(and 1 more\);"
    )
    with pytest.raises(SourceUnavailableError, match=message):
        await reading.load()


async def test_a_deleted_secret_of_a_prefix_is_gone_at_once_and_comes_back_when_restored() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/gemini", "sk-2")
    reading = source(aws, under())
    await reading.load()
    aws.failing["kb/openai"] = DELETED  # the listing still names it
    assert await faults(reading) == []
    assert set(await plaintexts(reading)) == {"gemini/default"}
    aws.unlisted.add("kb/openai")
    assert set(await plaintexts(reading)) == {"gemini/default"}
    aws.unlisted.clear()
    aws.failing.clear()
    assert set(await plaintexts(reading)) == {"gemini/default", "openai/default"}


async def test_a_secret_of_a_prefix_that_a_listing_forgets_stays_while_aws_knows_it() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, under())
    await reading.load()
    aws.unlisted.add("kb/openai")
    aws.put("kb/openai", "sk-2")
    for _ in range(4):
        assert await plaintexts(reading) == {"openai/default": "sk-2"}


async def test_a_tag_is_lost_when_two_listings_in_a_row_leave_the_secret_out() -> None:
    aws = FakeAws()
    aws.put("a", "sk-1", "use=keys")
    aws.put("b", "sk-2", "use=keys")
    reading = source(aws, TAGGED)
    await reading.load()
    aws.unlisted.add("a")
    assert set(await plaintexts(reading)) == {"openai/a", "openai/b"}
    aws.unlisted.clear()
    assert set(await plaintexts(reading)) == {"openai/a", "openai/b"}
    aws.unlisted.add("a")
    assert set(await plaintexts(reading)) == {"openai/a", "openai/b"}
    assert set(await plaintexts(reading)) == {"openai/b"}


async def test_a_secret_that_was_away_for_a_reading_is_not_forgotten() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/gemini", "sk-2")
    reading = source(aws, under())
    await reading.load()
    aws.failing["kb/openai"] = DENIED
    assert await faults(reading) == [
        "kb/openai: may not be read: grant secretsmanager:GetSecretValue on it"
    ]
    aws.unlisted.add("kb/openai")
    aws.failing.clear()
    assert set(await plaintexts(reading)) == {"openai/default", "gemini/default"}


async def test_a_source_that_had_keys_and_has_none_says_so_instead_of_taking_them_away() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, under())
    await reading.load()
    aws.secrets.clear()
    (fault,) = await faults(reading)
    assert fault.startswith("secrets-manager: has no keys any more: what it had stays in use")


async def test_a_weird_name_is_shown_harmlessly_and_a_binary_secret_is_a_fault() -> None:
    aws = FakeAws()
    name = "kb/\x1b[31m\nroot\u202e" + "x" * 600
    aws.put(name, "sk-1")
    aws.put("kb/openai", b"sk-canary")
    told = await faults(source(aws, under()))
    assert told[0].startswith("kb/??31m?root?xxxx")
    assert len(told[0]) < 250
    assert told[1] == "kb/openai: is binary: keep keys as text, in SecretString"


async def test_the_same_secret_twice_is_refused_with_both_names() -> None:
    aws = FakeAws()
    aws.put("kb/a/openai", "sk-canary")
    aws.put("kb/b/openai", '["sk-canary"]')
    snapshot = await source(aws, under()).load()
    assert [key.key_id for key in snapshot.keys] == ["openai/default"]
    (fault,) = snapshot.faults
    assert fault.place == "kb/b/openai"
    assert fault.message == (
        "secret 1 in kb/b/openai is the same secret as the secret in kb/a/openai, which stays"
    )


async def test_two_secrets_that_give_a_key_of_one_name_are_told_both() -> None:
    aws = FakeAws()
    aws.put("kb/a/openai", "sk-1")
    aws.put("kb/b/openai", "sk-2")
    (fault,) = await faults(source(aws, under()))
    assert fault == (
        "kb/b/openai: the secret in kb/b/openai has the name of the secret in kb/a/openai,"
        " openai/default, which stays: give it another"
    )


async def test_a_secret_full_of_faults_does_not_drown_those_of_others() -> None:
    aws = FakeAws()
    aws.put("kb/gemini", "[" + "0," * 500 + "0]")
    aws.put("kb/openai", "{")
    told = await faults(source(aws, under()))
    assert told[-2] == "kb/gemini: has 481 more faults"
    assert told[-1].startswith("kb/openai: is not JSON")
    assert len(told) == 22


async def test_a_secret_that_is_too_long_is_a_fault() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "é" * 40_000)
    assert await faults(source(aws, under())) == ["kb/openai: is longer than 65536 bytes"]


def test_the_source_is_remote_and_has_a_name_that_stays() -> None:
    made = source(FakeAws(), under())
    assert (made.name, made.is_remote) == ("secrets-manager", True)
