"""A file that is being written says anything: what it takes away it must say twice."""

from collections.abc import Callable, Iterable

import pytest

from broker.adapters.sources.steady import MAX_LOOKS, Sight, Steady
from broker.core.key import Key
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.errors import SourceUnavailableError
from broker.ports.key_source import SourceFault, SourceSnapshot


def saw(keys: str, *, fault: str = "", cut: bool = False) -> Sight:
    """Each letter is a key; a capital is another secret of the same."""
    found = (
        Key(name.lower(), name, "openai", Secret(f"sk-{name}"), Provenance.SYSTEM) for name in keys
    )
    faults = (SourceFault(".env:1", fault),) if fault else ()
    return Sight(SourceSnapshot(tuple(found), faults), cut)


class Looks:
    """Shows one sight a look; an exception is raised."""

    def __init__(self, sights: Iterable[Sight | Exception]) -> None:
        self.left = list(sights)
        self.last: Sight | Exception = Sight(SourceSnapshot(()))

    def __call__(self) -> Sight:
        if self.left:
            self.last = self.left.pop(0)
        if isinstance(self.last, Exception):
            raise self.last
        return self.last


async def loaded(*sights: Sight | Exception) -> tuple[str, int]:
    """What is believed after a first reading of keys a and b, and how many sights were left."""
    looks = Looks([saw("ab"), *sights])
    steady = Steady(looks, 0.0)
    await steady.load()
    snapshot = await steady.load()
    return "".join(key.revision for key in snapshot.keys), len(looks.left)


GONE = SourceUnavailableError("is not there")


@pytest.mark.parametrize(
    ("sights", "expected"),
    [
        ([saw("ab")], "ab"),
        ([saw("abc")], "abc"),
        ([saw("a"), saw("ab")], "ab"),
        ([saw("a"), saw("a")], "a"),
        ([saw("aB"), saw("aB")], "aB"),
        ([saw("a"), saw(""), saw("aB"), saw("aB")], "aB"),
        ([saw("abc", cut=True), saw("abC")], "abC"),
        ([saw("abc", fault="is not NAME=value"), saw("abC")], "abC"),
        ([GONE, saw("abc")], "abc"),
        ([saw("a"), GONE, saw("abc")], "abc"),
    ],
    ids=[
        "what is the same is believed at once",
        "so is what only adds",
        "a key that was lost for a moment stays",
        "one that stays away is gone",
        "another secret is believed when it is seen twice",
        "a file that is being written is looked at until it stands still",
        "a last line without an end may be half a secret",
        "as may a line that makes no sense",
        "a file that is away for a moment was being replaced",
        "also between two looks",
    ],
)
async def test_a_look_is_believed_when_it_can_be(
    sights: list[Sight | Exception], expected: str
) -> None:
    assert await loaded(*sights) == (expected, 0)


async def test_a_first_look_is_believed() -> None:
    looks = Looks([saw("a", fault="x", cut=True)])
    assert (await Steady(looks, 0.0).load()).faults


@pytest.mark.parametrize(
    "never", [lambda _: GONE, lambda number: saw("cd"[number % 2])], ids=["gone", "restless"]
)
async def test_what_never_stands_still_is_unavailable(
    never: Callable[[int], Sight | Exception],
) -> None:
    with pytest.raises(SourceUnavailableError):
        await loaded(*(never(number) for number in range(MAX_LOOKS * 2)))
