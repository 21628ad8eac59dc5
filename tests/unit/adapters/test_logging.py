"""What a log line shows, and what it never does."""

import errno
import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from broker.adapters.structlog import configure_logging
from broker.core.secret import Secret

CANARY = "sk-canary-0123456789-abcdef"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Undo what is set for the whole process."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


class Output(io.StringIO):
    """A stream that may be a terminal."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def output() -> Output:
    return Output()


def test_a_record_is_one_line_of_json_with_its_level_and_time(output: Output) -> None:
    configure_logging(stream=output)
    structlog.get_logger("keybroker").info("denied", provider="openai", reason="NO_KEYS")
    (record,) = output.records()
    assert str(record.pop("timestamp")).endswith("Z")
    assert record == {
        "event": "denied",
        "level": "info",
        "provider": "openai",
        "reason": "NO_KEYS",
    }


def test_libraries_log_the_same_way(output: Output) -> None:
    configure_logging(stream=output)
    logging.getLogger("grpc").warning("slow %s", "call", extra={"peer": "ipv4:127.0.0.1"})
    logging.getLogger("some.library").info("started")
    first, second = output.records()
    assert (first["event"], first["logger"]) == ("slow call", "grpc")
    assert first["peer"] == "ipv4:127.0.0.1"
    assert second["event"] == "started"


def test_a_terminal_gets_lines_for_people(output: Output) -> None:
    output.is_terminal = True
    configure_logging(stream=output)
    structlog.get_logger().warning("denied", provider="openai")
    assert "denied" in output.getvalue()
    assert "{" not in output.getvalue()


def test_below_the_level_nothing_is_logged(output: Output) -> None:
    configure_logging("warning", stream=output)
    structlog.get_logger().info("quiet")
    logging.getLogger("grpc").info("quiet")
    assert output.getvalue() == ""


@pytest.mark.parametrize("level", ["debug", "info"])
def test_http_libraries_do_not_tell_of_every_call(output: Output, level: str) -> None:
    configure_logging(level, stream=output)
    logging.getLogger("httpx").info("HTTP Request: GET https://acme.example")
    logging.getLogger("httpcore.http11").debug("send_request_headers")
    assert output.getvalue() == ""


def test_a_warning_of_python_is_logged(output: Output) -> None:
    configure_logging(stream=output)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (record,) = output.records()
    assert "DeprecationWarning: old" in str(record["event"])


@pytest.mark.parametrize("is_terminal", [False, True], ids=["json", "console"])
def test_no_shape_of_a_secret_gets_through(output: Output, *, is_terminal: bool) -> None:
    output.is_terminal = is_terminal
    configure_logging("debug", stream=output)
    own, library = structlog.get_logger("keybroker"), logging.getLogger("grpc")
    own.info("a", key=Secret("plain-canary"), keys=[Secret("plain-canary")])
    own.info("b", secret="plain-canary", nested={"X-Api-Key": "plain-canary"})
    own.info("c", headers=[{"authorization": "plain-canary"}], lease_token="plain-canary")
    own.info(f"d {CANARY}", detail=f"Bearer plain-canary and {CANARY}", raw=CANARY.encode())
    library.info("e %s", {"Authorization": f"Bearer {CANARY}"}, extra={"api_key": "plain-canary"})
    library.info("f api_key=plain-canary&x=1", extra={"detail": {"password": "plain-canary"}})
    own.info("g", error=ValueError(f"Illegal header value b'Bearer plain-canary' {CANARY}"))
    text = output.getvalue()
    assert len(text.splitlines()) == 7
    assert "canary" not in text


@pytest.mark.parametrize("is_terminal", [False, True], ids=["json", "console"])
def test_a_traceback_shows_neither_variables_nor_secrets(
    output: Output, *, is_terminal: bool
) -> None:
    output.is_terminal = is_terminal
    configure_logging(stream=output)

    def fail(held: str) -> None:
        raise ValueError(f"cannot use {held}, x-api-key: {held!r}\n{held}")

    for log in (structlog.get_logger("keybroker"), logging.getLogger("grpc")):
        try:
            fail(CANARY)
        except ValueError:
            log.exception("broken")
    text = output.getvalue()
    assert text.count("Traceback (most recent call last)") == 2
    assert "canary" not in text


@pytest.mark.parametrize(
    "plaintext",
    [
        "sk-proj-0123456789abcdefCANARY",
        "sk-ant-api03-0123456789abcdefCANARY",
        "gsk_0123456789abcdefCANARY",
        "AIzaSyCANARY0123456789abcdef",
        "AKIACANARYCANARYCANA",
        "xai-0123456789abcdefCANARY",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJDQU5BUlkifQ.CANARY",
    ],
)
def test_keys_of_providers_are_known_by_their_shape(output: Output, plaintext: str) -> None:
    configure_logging(stream=output)
    for text in (plaintext, f"x\n{plaintext}\ty", f'"{plaintext}"', f"k={plaintext};"):
        structlog.get_logger().info(text)
    assert len(output.records()) == 4
    assert plaintext not in output.getvalue()


def test_what_operators_need_is_left_alone(output: Output) -> None:
    configure_logging(stream=output)
    fields = {
        "key_id": "openai/k-1f2e3d4c",
        "revision": "0123456789abcdef",
        "rule": "openai:invalid-api-key",
        "input_tokens": 12345678,
        "detail": "401, openai_compatible:missing-key",
        "secret": "",
        "task": "risk-free-assessment-of-keys",
    }
    structlog.get_logger().info("key_quarantined_by_probe_of_revision", **fields)
    (record,) = output.records()
    assert fields.items() <= record.items()
    assert record["event"] == "key_quarantined_by_probe_of_revision"


class FullDisk(Output):
    """A stream that takes nothing while it is full."""

    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    """Else every call that logs would fail with a full disk."""
    output = FullDisk()
    configure_logging(stream=output)
    structlog.get_logger("keybroker").info("lost")
    logging.getLogger("library").warning("lost too")
    output.is_full = False
    structlog.get_logger("keybroker").info("written")
    assert [record["event"] for record in output.records()] == ["written"]
