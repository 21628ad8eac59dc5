"""A secret shows itself to `reveal` and to nothing else."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from traceback import format_exception

import pytest

from broker.core.secret import Secret
from tests.unit.core.given import make_key

PLAINTEXT = "sk-very-secret-plaintext"
SECRET = Secret(PLAINTEXT)


def test_revealing_gives_the_plaintext() -> None:
    assert SECRET.reveal() == PLAINTEXT


@pytest.mark.parametrize("render", [repr, str, "{}".format, ascii, "%s".__mod__])
def test_no_rendering_contains_it(render: Callable[[object], str]) -> None:
    assert "very-secret" not in render(SECRET)
    assert "very-secret" not in render([SECRET])


@pytest.mark.parametrize(
    "store",
    [pickle.dumps, copy.copy, copy.deepcopy, json.dumps],
    ids=["pickle", "copy", "deepcopy", "json"],
)
def test_no_queue_or_cache_can_store_it(store: Callable[[object], object]) -> None:
    with pytest.raises(TypeError) as refused:
        store(SECRET)
    assert "very-secret" not in "".join(format_exception(refused.value))


def test_a_record_that_holds_it_is_not_taken_apart() -> None:
    with pytest.raises(TypeError):
        asdict(make_key())


def test_secrets_are_equal_by_plaintext_and_to_nothing_else() -> None:
    same, other = Secret(PLAINTEXT), Secret("other")
    assert {same, other} == {SECRET, other}
    assert same == SECRET
    assert other != SECRET
    assert SECRET != PLAINTEXT


def test_an_empty_secret_is_false() -> None:
    assert SECRET
    assert not Secret("")


def test_a_fingerprint_names_the_plaintext_under_its_own_secret() -> None:
    fingerprint = SECRET.fingerprint(b"fingerprint-secret")
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0
    assert fingerprint == Secret(PLAINTEXT).fingerprint(b"fingerprint-secret")
    assert fingerprint != Secret("other").fingerprint(b"fingerprint-secret")
    assert fingerprint != SECRET.fingerprint(b"other-secret")
