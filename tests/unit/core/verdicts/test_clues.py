"""What is told of an answer that no rule matched: enough for a rule, nothing of a caller's."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.outcome import Outcome
from broker.core.verdicts.clues import MAX_MEMBERS, MAX_WORDS_CHARS, clues
from broker.core.verdicts.dialect import Dialect, ErrorSites

DIALECT = Dialect(
    "d",
    "D",
    "",
    errors=ErrorSites(
        fields={"code": (("error", "code"), ("code",)), "param": (("error", "param"),)},
        message=(("error", "message"), ("message",)),
        headers={"type": ("x-error-type",)},
    ),
    rules=(),
)
SECRET = st.builds(
    lambda head, digits, tail: f"{head}{digits}{tail}",
    st.sampled_from(["", "sk-", "sk-ant-", "AIza", "gsk_", "eyJ"]),
    st.text(string.digits, min_size=3, max_size=6),
    st.text(string.ascii_letters + string.digits, min_size=16, max_size=48),
)


def told(body: object, headers: dict[str, str] | None = None) -> dict[str, str]:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return clues(DIALECT, Outcome(200, headers or {}, data))


def test_a_rules_author_learns_the_codes_the_members_and_the_providers_words() -> None:
    body = {"error": {"code": "brand_new", "message": "The moon is full. Wait.", "param": "p"}}
    headers = {"content-type": "application/json; charset=utf-8", "x-error-type": "MoonException"}
    assert told(body, headers) == {
        "shape": "json",
        "members": "error error.code error.message error.param",
        "content_type": "application/json",
        "words": "the moon is full",
        "field_code": "brand_new",
        "field_type": "moonexception",
    }


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ('data: {"error": 1}', "events"),
        ("<html>", "page"),
        ("Overloaded", "words"),
        ("", "nothing"),
    ],
)
def test_the_shape_tells_what_to_look_for(body: str, shape: str) -> None:
    assert told(body)["shape"] == shape


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Tool 'weather of Berlin' was not found", "tool … was not found"),
        ('No "such thing', "no …"),
        ('Unexpected {"a": 1} here', "unexpected … here"),
        ("Invalid value: my whole life", "invalid value"),
        ("Limit of org-a1b2 reached at a@b.test", "limit of … reached at …"),
        ("Line one\nline two", "line one"),
        ("word " * 100, ("word " * 100)[:MAX_WORDS_CHARS].strip()),
    ],
)
def test_what_a_caller_may_have_written_is_left_out(message: str, words: str) -> None:
    assert told({"message": message})["words"] == words


def test_of_many_members_a_bounded_number_is_told() -> None:
    members = told({f"m{'x' * n}": n for n in range(20)})["members"]
    assert len(members.split()) == MAX_MEMBERS


@given(secret=SECRET)
def test_no_secret_gets_into_a_log(secret: str) -> None:
    bodies: list[object] = [
        {"error": {"code": secret, "message": f"The key {secret} is bad", secret: 1}, secret: 2},
        {"message": f"bad ({secret}), sorry", "code": f"x {secret}"},
        f"key={secret}",
        f"Authorization: Bearer {secret}",
        f'data: {{"error": {{"code": "{secret}"}}}}',
    ]
    for body in bodies:
        found = told(body, {"x-error-type": secret, "content-type": secret})
        assert secret.lower() not in " ".join(found.values()).lower()
