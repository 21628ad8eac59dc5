"""What a secret said before (`AWSPREVIOUS`): asked for once a version, told where it helps."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from broker.adapters.aws import SecretsManagerSource, Selector
from broker.ports.errors import SourceUnavailableError
from tests.unit.adapters.aws.given import (
    DENIED,
    FINGERPRINT_SECRET,
    THROTTLED,
    FakeAws,
    source,
    under,
)


async def before(source: SecretsManagerSource) -> dict[str, str]:
    """The secrets that keys had before, by key id."""
    return {key.key_id: key.secret.reveal() for key in (await source.load()).previous}


async def test_the_first_reading_tells_what_secrets_said_before() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/openai", "sk-2")
    aws.put("kb/gemini", "sk-3")
    snapshot = await source(aws, under()).load()
    (previous,) = snapshot.previous
    assert (previous.key_id, previous.secret.reveal()) == ("openai/default", "sk-1")
    assert previous.revision == previous.secret.fingerprint(FINGERPRINT_SECRET)


async def test_each_version_is_asked_once_what_it_replaced() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, under())
    for _ in range(3):
        assert await before(reading) == {}
    assert aws.calls["AWSPREVIOUS"] == 1
    aws.put("kb/openai", "sk-2")
    for _ in range(3):
        assert await before(reading) == {"openai/default": "sk-1"}
    assert aws.calls["AWSPREVIOUS"] == 2


async def test_the_secret_before_has_the_settings_that_the_key_has_now() -> None:
    aws = FakeAws()
    aws.put("kb/openai", json.dumps({"secret": "sk-1", "name": "a", "weight": 1}))
    aws.put("kb/openai", json.dumps({"secret": "sk-2", "name": "a", "weight": 5}))
    (previous,) = (await source(aws, under()).load()).previous
    assert (previous.key_id, previous.weight) == ("openai/a", 5.0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"secret": "sk-1"}, {"secret": "sk-1", "weight": 2}),
        ({"secret": "sk-1", "name": "a"}, {"secret": "sk-2", "name": "b"}),
        ([{"secret": "sk-1", "name": "a"}], [{"secret": "sk-1", "name": "b"}, "sk-2"]),
        ({"secret": "sk-1", "base_url": "https://a.example.com"}, {"secret": "sk-2"}),
        (["sk-1"], ["sk-2"]),
        ("{", "sk-2"),
        ("", "sk-2"),
        (b"sk-1", "sk-2"),
    ],
    ids=[
        "the same secret",
        "another key",
        "a secret that another key has now",
        "a secret that would be sent elsewhere",
        "a list without names",
        "what is no JSON",
        "nothing",
        "what is no text",
    ],
)
async def test_nothing_is_told_of(old: Any, new: Any) -> None:
    aws = FakeAws()
    for value in (old, new):
        aws.put("kb/openai", value if isinstance(value, str | bytes) else json.dumps(value))
    snapshot = await source(aws, under()).load()
    assert (snapshot.previous, snapshot.faults) == ((), ())
    assert snapshot.keys


async def test_a_caller_that_may_not_look_back_hears_nothing_of_it() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/openai", "sk-2")
    aws.failing["AWSPREVIOUS"] = DENIED
    reading = source(aws, under())
    for _ in range(2):
        snapshot = await reading.load()
        assert (len(snapshot.keys), snapshot.faults, snapshot.previous) == (1, (), ())
    assert aws.calls["AWSPREVIOUS"] == 1


async def test_what_could_not_be_asked_is_asked_again() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/openai", "sk-2")
    aws.failing["AWSPREVIOUS"] = THROTTLED
    reading = source(aws, under())
    assert await before(reading) == {}
    del aws.failing["AWSPREVIOUS"]
    assert await before(reading) == {"openai/default": "sk-1"}


class StuckAws(FakeAws):
    """Calls for what `stuck` names never end."""

    stuck = ""

    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], region: str = ""
    ) -> dict[str, Any]:
        if self.stuck in {operation, parameters.get("VersionStage")}:
            await asyncio.Event().wait()
        return await super().call(service, operation, parameters, region)


async def test_looking_back_holds_up_no_new_secret() -> None:
    aws = StuckAws()
    aws.put("kb/openai", "sk-1")
    aws.put("kb/openai", "sk-2")
    aws.stuck = "AWSPREVIOUS"
    reading = source(aws, under(), previous_s=0.01)
    snapshot = await reading.load()
    assert (len(snapshot.keys), snapshot.previous) == (1, ())
    aws.stuck = ""
    assert await before(reading) == {"openai/default": "sk-1"}


async def test_a_reading_ends_when_aws_never_answers() -> None:
    aws = StuckAws()
    aws.put("kb/openai", "sk-1")
    aws.stuck = "list_secrets"
    reading = source(aws, under(), load_s=0.01)
    with pytest.raises(SourceUnavailableError, match=r"did not answer within 0\.01 s; what was"):
        await reading.load()
    aws.stuck = ""
    assert len((await reading.load()).keys) == 1


async def test_a_roll_back_is_a_rotation_like_any_other() -> None:
    aws = FakeAws()
    aws.put("kb/openai", "sk-1")
    reading = source(aws, Selector(name="kb/openai"))
    await reading.load()
    aws.put("kb/openai", "sk-2")
    await reading.load()
    one, two = aws.secrets["kb/openai"].items()
    aws.secrets["kb/openai"] = dict([two, one])
    snapshot = await reading.load()
    assert [key.secret.reveal() for key in snapshot.keys] == ["sk-1"]
    assert [key.secret.reveal() for key in snapshot.previous] == ["sk-2"]
