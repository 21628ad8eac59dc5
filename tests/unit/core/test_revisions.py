"""Which secret of a key is leased: a new one must prove itself before an old one gives way."""

from dataclasses import replace

import pytest

from broker.core.revisions import HeldKey, Revision, Stage
from tests.unit.core.given import a_revision

NOW = 1000.0


def held(*names: str, in_use: str = "", proven: str = "", draining: str = "") -> HeldKey:
    """A key of these revisions, the newest first; of `proven` and `draining` each letter is one."""
    return HeldKey(
        tuple(
            Revision(
                a_revision(name),
                authenticated_at=1.0 if name in proven else None,
                draining_since=2.0 if name in draining else None,
            )
            for name in names
        ),
        in_use or names[-1],
    )


def chosen(key: HeldKey, rejected: str = "", *, is_probeable: bool = True) -> str:
    choice = key.choosing(lambda key: key.revision in rejected, NOW, is_probeable=is_probeable)
    return choice.in_use


def names(key: HeldKey) -> str:
    return "".join(revision.name for revision in key.revisions)


# --- Which one is leased ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "rejected", "expected"),
    [
        (held("b", "a"), "", "a"),
        (held("b", "a", proven="a"), "", "a"),
        (held("b", "a", proven="ab"), "", "b"),
        (held("b", "a", proven="ab"), "b", "a"),
        (held("b", "a", proven="a"), "b", "a"),
        (held("b", "a", proven="a"), "a", "a"),
        (held("b", "a", proven="a").noting("b"), "a", "b"),
        (held("b", "a", proven="a").noting("b"), "ab", "a"),
        (held("b", "a", in_use="b", proven="a"), "", "a"),
        (held("b", "a", in_use="b"), "a", "b"),
        (held("c", "b", "a", proven="ab", in_use="b", draining="a"), "b", "b"),
        (held("c", "b", "a", proven="ab", in_use="a"), "", "b"),
    ],
    ids=[
        "one that nobody proved waits",
        "behind one that works",
        "one that is proven takes over",
        "unless it is rejected",
        "a rejected one never does",
        "nor one that no probe has seen, even where the other is dead",
        "one of which probes prove nothing serves where the other is dead",
        "but not if it is dead as well",
        "one that works comes back before one that nobody proved",
        "one that nobody proved stays where the other is dead",
        "one that drains never comes back",
        "the newest that is proven serves",
    ],
)
def test_the_newest_that_works_is_leased(key: HeldKey, rejected: str, expected: str) -> None:
    assert chosen(key, rejected) == expected


@pytest.mark.parametrize(("rejected", "expected"), [("", "b"), ("b", "a"), ("a", "b")])
def test_where_no_probe_can_tell_a_new_secret_is_taken_at_its_word(
    rejected: str, expected: str
) -> None:
    assert chosen(held("b", "a", proven="a"), rejected, is_probeable=False) == expected


def test_what_is_older_than_a_proven_one_drains_from_the_moment_it_takes_over() -> None:
    key = held("c", "b", "a", proven="b", in_use="a").choosing(
        lambda _: False, NOW, is_probeable=True
    )
    assert key.in_use == "b"
    assert [revision.draining_since for revision in key.revisions] == [None, None, NOW]
    again = key.choosing(lambda _: False, NOW + 5, is_probeable=True)
    assert again == key


def test_what_is_older_than_one_that_nobody_proved_stays_at_hand() -> None:
    key = held("b", "a", proven="a").noting("b")
    fallen_back = key.choosing(lambda key: key.revision == "a", NOW, is_probeable=True)
    assert fallen_back.in_use == "b"
    assert not any(revision.is_draining for revision in fallen_back.revisions)
    assert chosen(fallen_back) == "a"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (held("a"), "a"),
        (held("b", "a"), "a"),
        (held("b", "a", proven="b"), "b"),
        (held("b", "a", proven="ab"), "b"),
        (held("c", "b", "a", proven="ab", draining="a"), "b"),
        (held("a", draining="a"), "a"),
    ],
)
def test_what_worked_last_is_in_use_when_a_key_is_read(key: HeldKey, expected: str) -> None:
    assert HeldKey.loaded(key.revisions).in_use == expected


# --- What is given ----------------------------------------------------------------------------


def test_a_new_secret_is_the_newest_and_waits() -> None:
    key = held("a").declaring(a_revision("b"))
    assert (names(key), key.in_use) == ("ba", "a")
    assert key.newest == a_revision("b")
    assert key.key == a_revision("a")


def test_a_secret_that_was_replaced_before_anybody_used_it_is_forgotten() -> None:
    key = held("b", "a").declaring(a_revision("c"))
    assert names(key) == "ca"


def test_a_secret_that_was_ever_in_use_is_kept() -> None:
    key = held("c", "b", "a", in_use="c", proven="b", draining="a").declaring(a_revision("d"))
    assert names(key) == "dcba"


def test_going_back_to_the_secret_in_use_forgets_the_other() -> None:
    key = held("b", "a", proven="a").declaring(a_revision("a"))
    assert (names(key), key.in_use) == ("a", "a")
    assert key.revisions[0].is_proven


def test_a_secret_that_comes_back_after_it_was_replaced_must_be_proved_again() -> None:
    """Between the two it may have been revoked."""
    key = held("b", "a", in_use="b", proven="ab", draining="a").declaring(a_revision("a"))
    assert names(key) == "ab"
    assert key.revisions[0] == Revision(a_revision("a"))
    assert chosen(key) == "b"
    assert chosen(key.noting("a", authenticated_at=3.0)) == "a"


def test_settings_hold_for_every_revision_and_the_endpoint_for_its_own() -> None:
    new = replace(a_revision("b", weight=3.0), base_url="https://new.test")
    key = held("a").declaring(new)
    assert [revision.key.weight for revision in key.revisions] == [3.0, 3.0]
    assert [revision.key.base_url for revision in key.revisions] == ["https://new.test", ""]


def test_what_has_not_changed_stays_the_same_object() -> None:
    """Pools hold on to it."""
    before = held("a")
    assert before.declaring(a_revision("b")).key is before.key


def test_new_settings_of_a_revision_keep_what_is_known_of_it() -> None:
    key = held("a", proven="a").declaring(a_revision("a", weight=2.0))
    assert key.key.weight == 2.0
    assert key.revisions[0].is_proven


def test_an_older_one_can_be_put_beside_and_gets_the_settings_of_the_key() -> None:
    key = HeldKey.loaded([Revision(a_revision("b", weight=2.0))])
    both = key.beside(Revision(a_revision("a"), authenticated_at=1.0))
    assert (names(both), chosen(both)) == ("ba", "a")
    assert both.revisions[1].key.weight == 2.0
    assert both.beside(Revision(a_revision("a"))) == both


def test_the_one_in_use_is_never_dropped() -> None:
    assert names(held("b", "a").without("b")) == "a"
    assert names(held("b", "a").without("a")) == "ba"
    assert names(held("b", "a").without("x")) == "ba"


def test_to_prove_are_the_newest_and_what_is_not_in_use() -> None:
    def to_prove(key: HeldKey) -> str:
        return "".join(revision.name for revision in key.to_prove(lambda _: False))

    assert to_prove(held("a")) == "a"
    assert to_prove(held("b", "a")) == "b"
    assert to_prove(held("b", "a", in_use="b")) == "ba"
    assert to_prove(held("c", "b", "a", proven="cb", in_use="c", draining="a")) == ""


def test_superseded_are_new_secrets_that_never_came_into_use() -> None:
    key = held("d", "c", "b", "a", in_use="b", draining="a")
    assert [revision.name for revision in key.superseded()] == ["c"]


@pytest.mark.parametrize(
    ("name", "stage"),
    [("d", Stage.INCOMING), ("c", Stage.REJECTED), ("b", Stage.IN_USE), ("a", Stage.DRAINING)],
)
def test_each_revision_is_at_a_stage(name: str, stage: Stage) -> None:
    key = held("d", "c", "b", "a", in_use="b", draining="a")
    found = key.find(name)
    assert found is not None
    assert key.stage(found, lambda key: key.revision in "cb") is stage


# --- Read anew --------------------------------------------------------------------------------


def test_a_key_that_is_read_anew_keeps_what_is_known_of_its_revisions() -> None:
    known = held("b", "a", in_use="b", proven="b", draining="a").noting("b")
    read = HeldKey.loaded(Revision(a_revision(name)) for name in "cba")
    key = read.remembering(known)
    assert (names(key), key.in_use) == ("cba", "b")
    assert key.revisions[1:] == known.revisions
    assert key.revisions[0] == Revision(a_revision("c"))


def test_a_key_that_was_rotated_back_must_prove_that_secret_again() -> None:
    known = held("b", "a", in_use="b", proven="ab", draining="a")
    read = HeldKey.loaded(held("a", "b", proven="ab", draining="b").revisions)
    key = read.remembering(known)
    assert (names(key), key.in_use, chosen(key)) == ("ab", "b", "b")
    assert key.revisions[0] == Revision(a_revision("a"))


def test_a_key_whose_secret_in_use_is_gone_takes_what_is_left() -> None:
    known = held("b", "a", in_use="b", proven="ab", draining="a")
    read = HeldKey.loaded([Revision(a_revision("c")), Revision(a_revision("a"), 1.0)])
    key = read.remembering(known)
    assert (names(key), key.in_use) == ("ca", "a")
    assert not key.revisions[1].is_draining


def test_the_latest_time_of_authentication_counts() -> None:
    key = held("a", proven="a").noting("a", authenticated_at=9.0)
    assert key.revisions[0].authenticated_at == 9.0
    assert key.noting("a").revisions[0].authenticated_at == 9.0
    assert key.noting("a", authenticated_at=3.0).revisions[0].authenticated_at == 9.0
    assert key.noting("x", authenticated_at=99.0) == key
