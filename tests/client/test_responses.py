"""Responses tell status, headers and what went wrong; what a model wrote stays with the caller."""

from types import SimpleNamespace
from typing import Never

import httpx
import pytest

from keybroker.outcome import MAX_BODY_BYTES
from keybroker.responses import outcome_of


class Unread:
    """A response of requests whose stream nobody has read: asking for its content would read it."""

    status_code = 200
    headers = {"content-type": "text/event-stream"}  # noqa: RUF012 - a stand-in
    _content = False

    @property
    def content(self) -> Never:
        pytest.fail("the caller's stream was read")


def test_a_refusal_tells_its_body() -> None:
    told = outcome_of(httpx.Response(429, headers={"Retry-After": "3"}, content=b'{"error": 1}'))
    assert told is not None
    assert (told.status, told.body, told.truncated) == (429, b'{"error": 1}', False)
    assert told.headers["retry-after"] == "3"


def test_a_long_refusal_is_cut() -> None:
    told = outcome_of(httpx.Response(500, content=b"x" * (MAX_BODY_BYTES + 1)))
    assert told is not None
    assert (len(told.body), told.truncated) == (MAX_BODY_BYTES, True)


@pytest.mark.parametrize("body", [b'{"choices": []}', b"text", b'{"error": null}', b'["error"]'])
def test_what_a_model_wrote_is_not_told(body: bytes) -> None:
    told = outcome_of(httpx.Response(200, content=body))
    assert told is not None
    assert told.body == b""


@pytest.mark.parametrize("body", [b'{"error": {"code": 1}}', b'{"type": "error", "error": {}}'])
def test_an_error_in_a_200_is_told(body: bytes) -> None:
    told = outcome_of(httpx.Response(200, content=body))
    assert told is not None
    assert told.body == body


def test_a_stream_that_is_not_read_is_left_alone() -> None:
    told = outcome_of(Unread())
    assert told is not None
    assert (told.status, told.body) == (200, b"")
    unread = outcome_of(httpx.Response(500, stream=httpx.ByteStream(b"later")))
    assert unread is not None
    assert unread.body == b""


def test_other_libraries_responses_are_known_by_their_shape() -> None:
    requests_like = SimpleNamespace(status_code=401, headers={}, content=b"no", _content=b"no")
    aiohttp_like = SimpleNamespace(status=503, headers={"a": "b"})
    for response, status in ((requests_like, 401), (aiohttp_like, 503)):
        told = outcome_of(response)
        assert told is not None
        assert told.status == status


@pytest.mark.parametrize(
    "value",
    [None, "text", {"status": 200}, 200, SimpleNamespace(status=200), SimpleNamespace(headers={})],
    ids=repr,
)
def test_what_is_no_response_tells_nothing(value: object) -> None:
    assert outcome_of(value) is None
