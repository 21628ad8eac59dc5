"""Whatever a caller tells is cut to what the broker takes, and never refused for its form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.outcome import MAX_BODY_BYTES as BROKERS_BODY
from broker.edge.grpc.fields import MAX_HEADER_BYTES as BROKERS_HEADERS
from broker.edge.grpc.fields import MAX_ITEMS
from broker.edge.grpc.outcome_messages import read_outcome
from keybroker import Outcome, Phase, TransportError, Usage
from keybroker.outcome import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS
from keybroker.v1 import outcome_pb2


def test_the_limits_are_the_brokers() -> None:
    assert (MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS) == (
        BROKERS_BODY,
        BROKERS_HEADERS,
        MAX_ITEMS,
    )


@given(
    headers=st.dictionaries(st.text(), st.text()),
    body=st.binary() | st.text(),
    status=st.sampled_from([200, 429, 999]),
)
def test_the_broker_takes_what_a_hostile_provider_sends(
    headers: dict[str, str], body: bytes | str, status: int
) -> None:
    message = Outcome(status=status, headers=headers, body=body).message("1")
    sent = outcome_pb2.Outcome.FromString(message.SerializeToString())
    assert read_outcome(sent).http_status == status


def test_of_too_many_headers_the_telling_ones_stay() -> None:
    headers = {f"x-noise-{number}": "y" * 900 for number in range(200)}
    headers |= {"Retry-After": "3", "x-ratelimit-remaining-requests": "0"}
    message = Outcome(status=429, headers=headers).message("1")
    assert message.headers["retry-after"] == "3"
    assert message.headers["x-ratelimit-remaining-requests"] == "0"
    assert read_outcome(message).headers


def test_cookies_and_credentials_do_not_travel() -> None:
    headers = {"Set-Cookie": "session=1", "Authorization": "Bearer sk-1", "X-Api-Key": "sk-1"}
    message = Outcome(status=200, headers=headers).message("1")
    assert not message.headers


def test_a_long_body_is_cut_and_said_to_be() -> None:
    message = Outcome(status=500, body="é" * MAX_BODY_BYTES).message("1")
    assert (len(message.body), message.truncated) == (MAX_BODY_BYTES, True)


def test_every_fact_travels() -> None:
    outcome = Outcome(
        status=200,
        transport_error=TransportError.RESET,
        phase=Phase.MID_STREAM,
        usage=Usage(input_tokens=3, output_tokens=4),
        time_to_first_byte=0.5,
        total=2.0,
        interim=True,
        truncated=True,
    )
    message = outcome.message("o1", "r1", 1.5)
    assert (message.outcome_id, message.request_id) == ("o1", "r1")
    assert message.started_ago.ToMilliseconds() == 1500
    assert message.transport_error == outcome_pb2.TRANSPORT_ERROR_RESET
    assert message.phase == outcome_pb2.PHASE_MID_STREAM
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 4)
    assert message.timings.time_to_first_byte.ToMilliseconds() == 500
    assert message.timings.total.ToSeconds() == 2
    assert message.interim
    assert message.truncated


def test_an_outcome_that_tells_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="status or a transport_error"):
        Outcome(body=b"what")


def test_what_a_provider_said_is_not_in_a_repr() -> None:
    """It may echo what the caller's own caller wrote."""
    shown = repr(Outcome(status=400, headers={"x": "private"}, body=b"private"))
    assert "private" not in shown
