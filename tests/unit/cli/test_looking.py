"""The commands that look: what they ask, and how they answer as a table and as JSON."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from broker.cli.exits import Exit
from keybroker.v1 import admin_pb2, event_pb2, key_pb2, status_pb2
from tests.unit.cli.conftest import Keybroker
from tests.unit.cli.samples import NOON, a_key, a_status
from tests.unit.cli.scripted import Fault, Scripted

HOSTILE = "\x1b[31mred\x07 [bold]\u202e \x9b2J\r\nnext"
HARMLESS = r"\x1b[31mred\x07 [bold]\u202e \x9b2J\r\nnext"


def an_event(event_id: str, at_s: int = 0, message: str = "it happened") -> event_pb2.Event:
    return event_pb2.Event(
        event_id=event_id,
        time=Timestamp(seconds=NOON.seconds + at_s),
        kind="key_added",
        provider="openai",
        key_id="openai/1",
        message=message,
    )


def test_status_shows_trouble_first(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("GetStatus", a_status())
    shown = keybroker("status").out
    assert shown.startswith("EMERGENCY")
    for text in (
        "Not ready: openai: its keys were not proved",
        "2 of 2 keys were rejected",
        "replica-1, version 0.1.0, up 1d 1h",
        "sqlite degraded, 4 facts pending: the disk is full",
        "the sealing key is missing",
        "2 healthy, 1 quarantined",
        "3m 20s ago",
        "key openai/1 (r1)",
        "1h 2m ago",
        "in 1m 30s",
        "chat-gateway",
        "openai/gpt-4o",
        ".env:3: is empty",
    ):
        assert text in shown
    assert not [line for line in shown.splitlines() if line != line.rstrip()]


def test_json_is_the_message_by_its_proto_names_with_nothing_left_out(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("GetStatus", a_status())
    result = keybroker("--format", "json", "status")
    assert result.err == ""
    assert result.json["emergency"] is True
    assert result.json["store"]["pending_facts"] == "4"
    assert result.json["circuits"][0]["reported_by"] == "chat-gateway"
    broker.on("GetStatus", status_pb2.GetStatusResponse(status=status_pb2.BrokerStatus()))
    bare = keybroker("status", "--format", "json").json
    assert (bare["circuits"], bare["emergency"], bare["circuit_count"]) == ([], False, 0)


def test_keys_are_read_over_all_pages(keybroker: Keybroker, broker: Scripted) -> None:
    pages = [
        admin_pb2.ListKeysResponse(keys=[a_key("openai/1")], next_page_token="p2"),
        admin_pb2.ListKeysResponse(keys=[a_key("openai/2")]),
    ]
    broker.on("ListKeys", *pages)
    result = keybroker("keys", "list", "--provider", "openai", "--state", "QUARANTINED")
    assert [line.split()[0] for line in result.out.splitlines()] == ["KEY", "openai/1", "openai/2"]
    first, second = broker.requests("ListKeys")
    assert (first.provider, first.page_size, first.page_token) == ("openai", 1000, "")
    assert first.state == key_pb2.KEY_STATE_QUARANTINED
    assert (second.page_size, second.page_token) == (999, "p2")


def test_a_list_that_is_cut_says_so(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on("ListKeys", admin_pb2.ListKeysResponse(keys=[a_key()], next_page_token="p2"))
    result = keybroker("keys", "list", "--limit", "1", "--provenance", "system")
    assert "more than 1" in result.err
    [request] = broker.requests("ListKeys")
    assert request.page_size == 1
    assert request.provenance == key_pb2.PROVENANCE_SYSTEM
    cut = keybroker("keys", "list", "--limit", "1", "--format", "json")
    assert cut.json["next_page_token"] == "p2"


@pytest.mark.parametrize(
    ("option", "value"), [("--state", "well"), ("--provenance", "mine"), ("--state", "unspecified")]
)
def test_a_word_that_is_none_is_told_with_those_that_are(
    keybroker: Keybroker, broker: Scripted, option: str, value: str
) -> None:
    result = keybroker("keys", "list", option, value)
    assert result.code == Exit.USAGE
    assert f"{option}: '{value}' is none of " in result.err
    assert not broker.asked


def test_a_key_is_shown_whole_and_without_secret(keybroker: Keybroker, broker: Scripted) -> None:
    disabled = key_pb2.Disablement(by="ann", at=NOON, reason="leaked")
    key = a_key(disabled=disabled, owner="acme", expire_time=NOON)
    broker.on("GetKey", admin_pb2.GetKeyResponse(key=key))
    shown = keybroker("keys", "show", "openai/1").out
    for text in (
        *("acme", "by ann", "leaked", "fast=gpt-4o-mini, gpt-4o", "20 at one time", "in_use"),
        *("2030-03-17T17:46:40Z", "never", "credential"),
    ):
        assert text in shown
    assert keybroker("keys", "show", "openai/1", "--format", "json").json["key_id"] == "openai/1"


def test_an_unknown_key_is_not_found(keybroker: Keybroker, broker: Scripted) -> None:
    broker.on(
        "GetKey",
        Fault(grpc.StatusCode.NOT_FOUND, "there is no key 'x'", "KEY_UNKNOWN", {"key_id": "x"}),
    )
    result = keybroker("keys", "show", "x", "--format", "json")
    assert result.code == Exit.NOT_FOUND
    assert result.out == ""
    assert "keybroker keys list" in result.err


@pytest.mark.parametrize("hostile", [HOSTILE])
def test_nothing_that_comes_from_a_broker_is_obeyed_by_a_terminal(
    keybroker: Keybroker, broker: Scripted, hostile: str
) -> None:
    """Also no markup of rich's: `[bold]` stays as it is."""
    status = a_status()
    status.status.replica.name = hostile
    status.status.circuits[0].scope.key_id = hostile
    status.status.sources[0].faults[0] = hostile
    key = a_key(hostile, source=hostile, models={hostile: hostile})
    messages: list[tuple[list[str], str, Any]] = [
        (["status"], "GetStatus", status),
        (["keys", "list"], "ListKeys", admin_pb2.ListKeysResponse(keys=[key])),
        (["keys", "show", "x"], "GetKey", admin_pb2.GetKeyResponse(key=key)),
        (
            ["events"],
            "ListEvents",
            admin_pb2.ListEventsResponse(events=[an_event("1", message=hostile)]),
        ),
        (
            ["models"],
            "ListRunnableModels",
            status_pb2.ListRunnableModelsResponse(
                models=[status_pb2.RunnableModel(provider="openai", model=hostile)]
            ),
        ),
    ]
    for arguments, method, message in messages:
        broker.on(method, message)
        table = keybroker(*arguments).out
        assert HARMLESS in table
        assert all(line.isprintable() for line in table.splitlines())
        as_json = keybroker(*arguments, "--format", "json").out
        assert as_json.isascii()
        assert all(line.isprintable() for line in as_json.splitlines())


def test_circuits_and_upstreams_are_parts_of_the_status(
    keybroker: Keybroker, broker: Scripted
) -> None:
    broker.on("GetStatus", a_status())
    assert "invalid_credential" in keybroker("circuits", "list").out
    assert "closed" in keybroker("circuits", "list", "--provider", "groq").err
    circuits = keybroker("circuits", "list", "--format", "json").json
    assert set(circuits) == {"time", "circuits"}
    rows = {line.split()[0]: line for line in keybroker("upstreams", "list").out.splitlines()}
    assert "90.0%" in rows["openai/gpt-4o"]
    assert "by ann: too dear" in rows["openai/gpt-4o"]
    assert rows["groq"].endswith("by ann")
    upstreams = keybroker("upstreams", "list", "--format", "json").json
    assert set(upstreams) == {"time", "upstreams", "disabled_upstreams"}
    broker.on("GetStatus", status_pb2.GetStatusResponse())
    assert "none is disabled" in keybroker("upstreams", "list").err
