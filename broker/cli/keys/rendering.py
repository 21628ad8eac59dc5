"""How keys look."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from broker.cli.display import CIRCUIT_COLUMNS, circuit_row
from broker.cli.output import Output
from broker.cli.times import age, clock, now
from broker.cli.words import word
from keybroker.v1 import key_pb2

KEY_COLUMNS: Final = ("key", "provider", "owner", "state", "revision", "models", "until")


def key_row(key: key_pb2.Key, at: datetime) -> tuple[str, ...]:
    """A key for a table of KEY_COLUMNS."""
    return (
        key.key_id,
        key.provider,
        _owner(key),
        word(key, "state"),
        key.revision,
        _models(key) or "all",
        _until(key, at),
    )


def show_key(out: Output, key: key_pb2.Key) -> None:
    """Everything about one key."""
    at = now()
    out.fields(_fields(key, at))
    if key.revisions:
        out.heading("Revisions, the newest first")
        out.table(
            ("revision", "stage", "accepted by the provider"),
            (
                (r.revision, word(r, "stage"), age(r.authenticated_time, at) or "never")
                for r in key.revisions
            ),
        )
    if key.circuits:
        out.heading("Circuits that are not closed")
        out.table(CIRCUIT_COLUMNS, (circuit_row(circuit, at) for circuit in key.circuits))


def _fields(key: key_pb2.Key, at: datetime) -> Iterator[tuple[str, str]]:
    yield "key", key.key_id
    yield "provider", key.provider
    yield "owner", _owner(key)
    yield "state", word(key, "state")
    if key.HasField("disabled"):
        yield "disabled", f"{age(key.disabled.at, at)} by {key.disabled.by}"
        yield "reason", key.disabled.reason
    yield "revision", key.revision
    yield "source", key.source
    yield "models", _models(key) or "all"
    yield "weight", f"{key.weight:g}"
    yield "priority", str(key.priority)
    yield "account", key.account
    yield "base URL", key.base_url
    yield "limits", _limits(key.limits)
    expiry = clock(key.expire_time)
    yield "expires", f"{expiry} ({age(key.expire_time, at)})" if expiry else ""
    yield "created", age(key.create_time, at)
    yield "changed", age(key.update_time, at)


def _owner(key: key_pb2.Key) -> str:
    return key.owner or word(key, "provenance")


def _models(key: key_pb2.Key) -> str:
    """Globs, each with the provider's name where that is another."""
    pairs = sorted(key.models.items())
    return ", ".join(f"{glob}={name}" if name else glob for glob, name in pairs)


def _limits(limits: key_pb2.KeyLimits) -> str:
    parts = (
        (limits.concurrency, "at one time"),
        (limits.requests_per_minute, "requests a minute"),
        (limits.tokens_per_minute, "tokens a minute"),
    )
    return ", ".join(f"{count} {what}" for count, what in parts if count)


def _until(key: key_pb2.Key, at: datetime) -> str:
    """When it comes back by itself, as far as that is known."""
    if key.HasField("disabled"):
        return "it is enabled"
    if word(key, "state") == "healthy":
        return ""
    return ", ".join(age(c.until, at) for c in key.circuits if c.HasField("until"))


def show_or_print(out: Output, key: key_pb2.Key, done: str) -> None:
    """What a command that changed a key answers."""
    if out.is_json:
        out.json(key)
    else:
        out.line(done)
        show_key(out, key)
