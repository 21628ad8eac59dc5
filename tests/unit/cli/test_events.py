"""Events: what happened, and what happens."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, event_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import NOON
from tests.unit.cli.scripted import Fault, Scripted


def an_event(event_id: str, at_s: int = 0, message: str = "it happened") -> event_pb2.Event:
    return event_pb2.Event(
        event_id=event_id,
        time=Timestamp(seconds=NOON.seconds + at_s),
        kind="key_added",
        provider="openai",
        key_id="openai/1",
        message=message,
    )


def test_events_are_shown_the_latest_last(keybroker: Keybroker, broker: Scripted) -> None:
    page = admin_pb2.ListEventsResponse(events=[an_event("2", 5), an_event("1")])
    broker.on("ListEvents", page)
    result = keybroker("events", "--since", "2030-01-31", "--kind", "key_added", "--kind", "x")
    times = [line.split()[0] for line in result.out.splitlines()]
    assert times == ["TIME", "2030-03-17T17:46:40Z", "2030-03-17T17:46:45Z"]
    [request] = broker.requests("ListEvents")
    assert list(request.kinds) == ["key_added", "x"]
    assert request.since.ToJsonString() == "2030-01-31T00:00:00Z"
    assert [e["event_id"] for e in keybroker("events", "--format", "json").json["events"]] == [
        "2",
        "1",
    ]


@pytest.mark.parametrize("when", ["yesterday", "5", "5w", "-1h", "9999999d", "0001-01-01T00:00+14"])
def test_a_time_that_is_none_is_told(keybroker: Keybroker, when: str) -> None:
    result = keybroker("events", f"--since={when}")
    assert result.code == Exit.USAGE
    assert "30m, 2h or 7d" in result.err
    assert "2030-01-31T12:00:00Z" in result.err


def test_followed_events_come_once_each_and_over_a_restart(
    keybroker: Keybroker, broker: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = iter(range(4))

    def nap(_: float) -> None:
        if next(naps, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", nap)
    broker.on(
        "ListEvents",
        admin_pb2.ListEventsResponse(events=[an_event("0")]),
        admin_pb2.ListEventsResponse(events=[an_event("0"), an_event("old", -5)]),
        admin_pb2.ListEventsResponse(events=[an_event("1"), an_event("0"), an_event("old", -5)]),
        Fault(grpc.StatusCode.UNAVAILABLE, "gone"),
        Fault(grpc.StatusCode.UNAVAILABLE, "gone"),
        admin_pb2.ListEventsResponse(events=[an_event("2"), an_event("1")]),
        admin_pb2.ListEventsResponse(
            events=[an_event("3", 1), an_event("2"), an_event("late", -3)]
        ),
    )
    result = keybroker("events", "-f", "--format", "json")
    assert result.code == Exit.INTERRUPTED
    assert [event["event_id"] for event in result.lines] == ["1", "2", "late", "3"]
    assert result.err.count("waiting for it") == 1


def test_following_a_broker_that_was_never_there_fails(keybroker: Keybroker) -> None:
    assert keybroker("events", "-f", "--address", "127.0.0.1:9").code == Exit.UNREACHABLE


def test_following_since_a_time_tells_nothing_from_before(
    keybroker: Keybroker, broker: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = iter(range(2))

    def nap(_: float) -> None:
        if next(naps, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", nap)
    broker.on("ListEvents", admin_pb2.ListEventsResponse(events=[an_event("1", 2)]))
    keybroker("events", "-f", "--since", "2030-03-17T17:46:41Z")
    asked = [request.since.ToJsonString() for request in broker.requests("ListEvents")]
    assert set(asked) == {"2030-03-17T17:46:41Z"}


def test_events_name_the_replica_where_several_tell(keybroker: Keybroker, broker: Scripted) -> None:
    one, other = an_event("1"), an_event("2", 5)
    one.attributes["replica"], other.attributes["replica"] = "east-1", "east-2"
    broker.on("ListEvents", admin_pb2.ListEventsResponse(events=[other, one]))
    head, *lines = keybroker("events").out.splitlines()
    assert head.split() == ["TIME", "KIND", "ABOUT", "BY", "REPLICA", "MESSAGE"]
    assert ["east-1" in lines[0], "east-2" in lines[1]] == [True, True]
