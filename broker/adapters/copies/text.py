"""A copy as it is sealed: JSON of all keys with all that their source says of them.

Revisions are named with the fingerprint secret: a copy that was made with another one names them
otherwise, so that nothing that is known of them would fit.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from typing import Any, Final

from broker.core.key import Key, KeyLimits
from broker.core.secret import Secret
from broker.core.words import Provenance
from broker.ports.errors import SealBrokenError, StoreUnusableError
from broker.ports.key_source import SourceSnapshot
from broker.ports.source_copies import SourceCopy

VERSION: Final = 1

_UNWRITTEN: Final = frozenset({"provenance", "owner"})
"""The same for all system keys."""

_WRITE: Final[Mapping[str, Callable[[Any], object]]] = {
    "secret": Secret.reveal,
    "models": dict,
    "limits": lambda limits: [getattr(limits, each.name) for each in fields(KeyLimits)],
    "expires_at": lambda at: at and at.isoformat(),
}
_READ: Final[Mapping[str, Callable[[Any], object]]] = {
    "secret": Secret,
    "models": lambda models: {str(glob): str(name) for glob, name in models.items()},
    "limits": lambda limits: KeyLimits(*map(int, limits)),
    "expires_at": lambda at: at and datetime.fromisoformat(at),
}


def text_of(copy: SourceCopy, fingerprint_secret: bytes) -> str:
    """The text of a copy."""
    return json.dumps(
        {
            "version": VERSION,
            "source": copy.source,
            "read_at": copy.read_at,
            "named_by": _name_of(fingerprint_secret),
            "keys": [_record(key) for key in copy.snapshot.keys],
            "previous": [_record(key) for key in copy.snapshot.previous],
        }
    )


def copy_of(text: str, source: str, fingerprint_secret: bytes) -> SourceCopy:
    """The copy that a text is; raises SealBrokenError, and StoreUnusableError for a foreign one."""
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            raise StoreUnusableError("another version of the broker made it")
        if not hmac.compare_digest(found["named_by"], _name_of(fingerprint_secret)):
            raise StoreUnusableError("it was made with another fingerprint secret")
        keys, previous = map(_key, found["keys"]), map(_key, found["previous"])
        snapshot = SourceSnapshot(tuple(keys), previous=tuple(previous))
        return SourceCopy(str(found["source"]), float(found["read_at"]), snapshot)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SealBrokenError(f"it is no copy of {source}") from None


def _name_of(fingerprint_secret: bytes) -> str:
    """Tells fingerprint secrets apart, and says nothing about them."""
    return hmac.digest(fingerprint_secret, b"keybroker source copy", hashlib.sha256)[:16].hex()


def _record(key: Key) -> dict[str, object]:
    """A key without what is as it is by default."""
    record: dict[str, object] = {}
    for each in fields(Key):
        value = getattr(key, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if each.name not in _UNWRITTEN and value != default:
            record[each.name] = _WRITE[each.name](value) if each.name in _WRITE else value
    return record


def _key(record: dict[str, Any]) -> Key:
    values: dict[str, Any] = {
        name: _READ[name](value) if name in _READ else value for name, value in record.items()
    }
    return Key(provenance=Provenance.SYSTEM, **values)
