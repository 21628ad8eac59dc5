"""Keys as JSON lines: one object a line, with the names of the CSV's columns, or sealed."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, Never

from broker.adapters.sources.fault import Fault
from broker.cli.transfer.csv_rows import Found
from broker.cli.transfer.fields import FIELDS, put_json
from broker.cli.transfer.lines import Line, read_lines
from keybroker.v1 import admin_pb2

_HARMLESS: Final = re.compile(r"[a-z_]{1,30}")


class _TwiceError(ValueError):
    """An object has a name twice."""


def read_json_lines(file: BinaryIO) -> Iterator[Found]:
    """The keys, and the lines that are none. Raises OSError."""
    for line in read_lines(file):
        yield _key(line) if isinstance(line, Line) else line


def _key(line: Line) -> Found:
    try:
        value = json.loads(line.text, object_pairs_hook=_distinct, parse_constant=_refuse)
    except _TwiceError:
        return Fault(line.number, "has a name twice in one object")
    except json.JSONDecodeError as error:
        return Fault(line.number, f"is no JSON object on one line: see column {error.colno}")
    except (ValueError, RecursionError):
        return Fault(line.number, "is no JSON object on one line")
    if not isinstance(value, dict):
        return Fault(line.number, "is no JSON object")
    key = admin_pb2.ImportedKey(line=line.number)
    for name, content in value.items():
        if name not in FIELDS:
            shown = name if _HARMLESS.fullmatch(name) else "a name"
            return Fault(line.number, f"{shown} is none of {', '.join(FIELDS)}")
        try:
            put_json(key, name, content)
        except ValueError as error:
            return Fault(line.number, f"{name}: {error}")
    if value.get("secret") is not None and value.get("sealed") is not None:
        return Fault(line.number, "has both secret and sealed: leave one out")
    return key


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError
    return found


def _refuse(_name: str) -> Never:
    """NaN and its like are no JSON."""
    raise ValueError


def write_json_line(key: admin_pb2.ImportedKey) -> str:
    """A key as a line that is read again as the same; what is not set is left out."""
    settings, limits = key.settings, key.settings.limits
    has_expiry = settings.HasField("expire_time")
    values = {
        "tenant_id": key.tenant_id,
        "provider": key.provider,
        "key_id": key.key_id,
        "models": dict(sorted(settings.models.items())),
        "weight": 0 if settings.weight == 1 else settings.weight,
        "priority": settings.priority,
        "concurrency": limits.concurrency,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "account": settings.account,
        "expires_at": settings.expire_time.ToJsonString() if has_expiry else "",
        "base_url": settings.base_url,
        "secret": key.secret.plaintext,
        "sealed": [_sealed(revision) for revision in key.sealed.revisions],
    }
    return json.dumps({name: value for name, value in values.items() if value}) + "\n"


def _sealed(revision: admin_pb2.SealedRevision) -> dict[str, str]:
    is_proved = revision.HasField("authenticate_time")
    times = {"create_time": revision.create_time.ToJsonString()}
    if is_proved:
        times["authenticate_time"] = revision.authenticate_time.ToJsonString()
    return {
        "revision": revision.revision,
        "sealed_by": revision.sealed_by,
        "wrapped_key": b64encode(revision.wrapped_key).decode(),
        "ciphertext": b64encode(revision.ciphertext).decode(),
        **times,
    }
