"""Testing keys without a broker: what is read, what is probed, and what it amounts to."""

from collections.abc import Callable

import pytest

from broker.app.checking import Checking
from broker.cli.exits import Exit
from broker.cli.probed import Require, judged
from broker.config import Settings
from broker.core.words import ProbeResult
from tests.fakes import FakeClock, FakeKeySource, FakeProber
from tests.integration.edge.conftest import a_key

OK, BAD, UNSURE = "authenticated", "rejected", "inconclusive"


@pytest.mark.parametrize(
    ("results", "all_of_them", "any_of_them"),
    [
        ({"a": [OK, OK]}, Exit.OK, Exit.OK),
        ({"a": [OK, UNSURE]}, Exit.OK, Exit.OK),
        ({"a": [OK, BAD]}, Exit.REJECTED, Exit.OK),
        ({"a": [BAD, UNSURE], "b": [OK]}, Exit.REJECTED, Exit.OK),
        ({"a": [BAD, BAD], "b": [OK]}, Exit.REJECTED, Exit.REJECTED),
        ({"a": [UNSURE], "b": [UNSURE]}, Exit.UNPROVED, Exit.UNPROVED),
        ({"a": [UNSURE, BAD]}, Exit.REJECTED, Exit.UNPROVED),
    ],
)
def test_only_rejections_block(
    results: dict[str, list[str]], all_of_them: Exit, any_of_them: Exit
) -> None:
    pairs = [(provider, result) for provider, found in results.items() for result in found]
    assert judged(pairs, Require.ALL) is all_of_them
    assert judged(pairs, Require.ANY) is any_of_them


def test_what_was_found_is_told_to_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    judged([("openai", BAD), ("groq", UNSURE)], Require.ANY)
    said = capsys.readouterr().err
    assert "1 rejected, 1 inconclusive." in said
    assert "openai has no key that works" in said


@pytest.fixture
def checking() -> Callable[..., Checking]:
    def make(*sources: FakeKeySource, prober: FakeProber | None = None) -> Checking:
        return Checking(
            Settings(database="memory"),
            {},
            sources=sources,
            prober=prober or FakeProber(),
            clock=FakeClock(),
        )

    return make


async def test_every_source_is_read_and_one_that_is_down_is_a_fault(
    checking: Callable[..., Checking],
) -> None:
    down = FakeKeySource(name="down")
    down.is_down = True
    reading = await checking(FakeKeySource([a_key()], name="good"), down).read()
    assert [key.key_id for key in reading.keys] == ["openai/1"]
    assert [fault.place for fault in reading.faults] == ["down"]


async def test_every_key_is_probed_once(checking: Callable[..., Checking]) -> None:
    keys = [a_key(f"openai/{number}") for number in range(12)]
    check = checking(FakeKeySource(keys))
    done = [checked async for checked in check.probe(keys)]
    await check.close()
    assert sorted(c.key.key_id for c in done) == sorted(key.key_id for key in keys)
    assert {c.probed.result for c in done} == {ProbeResult.AUTHENTICATED}


async def test_leaving_early_stops_the_probes(checking: Callable[..., Checking]) -> None:
    keys = [a_key(f"openai/{number}") for number in range(3)]
    probes = checking(FakeKeySource(keys)).probe(keys)
    async for _ in probes:
        break
    await probes.aclose()
