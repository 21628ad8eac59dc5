"""What a source says a key had before: a fallback, asked for only where nothing better serves."""

from dataclasses import replace

import pytest

from broker.core.revisions import HeldKey, Revision, Stage
from tests.unit.core.given import a_revision

NOW = 1000.0


def held(*, older: bool = False) -> HeldKey:
    """A key `b` that was `a` before; an `older` one worked in the last run."""
    revisions = [Revision(a_revision("b")), Revision(a_revision("a"), is_previous=True)]
    key = HeldKey.loaded(revisions)
    return key.beside(Revision(a_revision("o"), authenticated_at=1.0)) if older else key


def chosen(key: HeldKey, rejected: str = "", *, is_probeable: bool = True) -> HeldKey:
    return key.choosing(lambda key: key.revision in rejected, NOW, is_probeable=is_probeable)


def to_prove(key: HeldKey, rejected: str = "") -> str:
    found = key.to_prove(lambda key: key.revision in rejected)
    return "".join(revision.name for revision in found)


def names(key: HeldKey) -> str:
    return "".join(revision.name for revision in key.revisions)


@pytest.mark.parametrize(
    ("key", "rejected", "expected"),
    [
        (held(), "", "b"),
        (held(), "b", "b"),
        (held().noting("a", authenticated_at=2.0), "b", "a"),
        (held().noting("a"), "b", "a"),
        (held().noting("a"), "ab", "b"),
        (held().noting("b").noting("a"), "", "b"),
        (held().noting("b").noting("a", authenticated_at=2.0), "", "a"),
        (held().recalling("a", 2.0), "", "a"),
        (held().recalling("a", 2.0).noting("b", authenticated_at=3.0), "", "b"),
        (held(older=True), "", "o"),
        (held(older=True), "b", "o"),
    ],
    ids=[
        "the declared one serves",
        "what nobody has looked at never does",
        "it serves where the declared one is rejected",
        "also where a probe of it proved nothing",
        "but not if it is rejected as well",
        "of two that prove nothing the declared one serves",
        "one that is proven serves where probes prove nothing of the other",
        "what worked last here serves until the declared one is proved",
        "and no longer",
        "what worked last goes before it",
        "whatever becomes of the declared one",
    ],
)
def test_it_serves_where_the_declared_one_does_not(
    key: HeldKey, rejected: str, expected: str
) -> None:
    assert chosen(key, rejected).in_use == expected


def test_where_no_probe_can_tell_it_serves_when_the_declared_one_is_rejected() -> None:
    assert chosen(held(), is_probeable=False).in_use == "b"
    assert chosen(held(), "b", is_probeable=False).in_use == "a"


@pytest.mark.parametrize(
    ("key", "rejected", "expected"),
    [
        (held(), "", "b"),
        (held(), "b", "a"),
        (held().noting("b"), "", "ba"),
        (held().noting("b", authenticated_at=2.0), "", ""),
        (held().noting("a"), "b", "a"),
        (held(), "ab", ""),
        (held(older=True), "b", ""),
        (held(older=True), "bo", "a"),
    ],
)
def test_it_is_probed_only_where_nothing_proven_serves_and_the_others_were_probed(
    key: HeldKey, rejected: str, expected: str
) -> None:
    assert to_prove(key, rejected) == expected


@pytest.mark.parametrize(
    ("key", "rejected", "expected"),
    [
        (held(), "", True),
        (held(), "b", True),
        (held().noting("a"), "b", False),
        (held().noting("b", authenticated_at=2.0), "", False),
        (held(older=True), "", True),
        (held(older=True), "b", False),
        (HeldKey.loaded([Revision(a_revision("b"))]), "", False),
    ],
)
def test_it_is_undecided_while_a_first_probe_may_tell_which_one_serves(
    key: HeldKey, rejected: str, *, expected: bool
) -> None:
    assert key.is_undecided(lambda key: key.revision in rejected) is expected


def test_it_drains_when_the_declared_one_is_proven() -> None:
    key = chosen(held().noting("b", authenticated_at=2.0))
    assert [revision.draining_since for revision in key.revisions] == [None, NOW]
    assert chosen(key, "b").in_use == "b"


def test_it_is_shown_as_draining_unless_it_serves() -> None:
    def stages(key: HeldKey) -> list[Stage]:
        return [key.stage(revision, lambda _: False) for revision in key.revisions]

    assert stages(held()) == [Stage.IN_USE, Stage.DRAINING]
    fallen_back = chosen(held().noting("a"), "b")
    assert stages(fallen_back) == [Stage.INCOMING, Stage.IN_USE]


def test_it_is_no_secret_that_was_replaced_before_anybody_used_it() -> None:
    assert list(held().superseded()) == []


def test_it_stays_while_settings_change_and_goes_when_another_secret_is_given() -> None:
    key = held().declaring(a_revision("b", weight=2.0))
    assert (names(key), key.revisions[1].key.weight) == ("ba", 2.0)
    assert names(held().declaring(a_revision("c"))) == "cb"


def test_one_that_serves_stays_when_another_secret_is_given() -> None:
    key = chosen(held().noting("a", authenticated_at=2.0), "b").declaring(a_revision("c"))
    assert (names(key), key.in_use) == ("ca", "a")


def test_declared_again_it_is_no_fallback_any_more() -> None:
    key = held().declaring(a_revision("a"))
    assert (names(key), key.in_use) == ("ab", "b")
    assert not key.revisions[0].is_previous


def test_what_worked_last_is_known_by_that_and_not_as_a_fallback() -> None:
    key = held().recalling("a", 5.0)
    assert key.revisions[1] == replace(Revision(a_revision("a")), authenticated_at=5.0)
    assert held().recalling("x", 5.0) == held()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (held(), False),
        (held().noting("b", authenticated_at=2.0), False),
        (chosen(held().noting("b", authenticated_at=2.0)), True),
        (chosen(held().noting("a", authenticated_at=2.0), "b"), False),
        (HeldKey.loaded([Revision(a_revision("b"))]), False),
    ],
)
def test_a_key_is_settled_when_its_newest_serves_and_all_else_drains(
    key: HeldKey, *, expected: bool
) -> None:
    assert key.is_settled is expected
