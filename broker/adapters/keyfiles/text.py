"""What stands in a key file: a line a key, each saying what it is for.

    keybroker-seal-1 3f1c…    (64 hex digits: 32 random bytes)

The first line is the key in use, unless brokers agreed on another to seal with; what the others
sealed or signed is still accepted.
"""

import re
from enum import StrEnum
from secrets import token_hex

from broker.ports.errors import PortError

KEY_BYTES = 32
MAX_BYTES = 4096
"""Far above any key file: more is something else."""

MAX_KEYS = 40
"""So many lines fit into MAX_BYTES."""


class KeyFileError(PortError):
    """A key file cannot be used; the message says why and what to do, and nothing of the key."""


class Purpose(StrEnum):
    """What a key is for; unless somebody names another, its file is `<purpose>.key`."""

    SEAL = "seal"
    LEASE = "lease"
    FINGERPRINT = "fingerprint"


_IF_LOST = {
    Purpose.SEAL: "what it sealed is lost: delete it, then forget that with 'keybroker seal drop'",
    Purpose.LEASE: "delete it: a new one is made, and leases that are out are no longer known",
    Purpose.FINGERPRINT: "delete it: a new one is made, and the health of keys is learned anew",
}
_LINE = re.compile(rb"keybroker-([a-z]+)-1 ([0-9a-f]{64})")


def fresh_line(purpose: Purpose) -> bytes:
    """The text of a file with one new key."""
    return f"keybroker-{purpose}-1 {token_hex(KEY_BYTES)}\n".encode()


def keys_in(text: bytes, purpose: Purpose) -> tuple[bytes, ...]:
    """The keys of a file's text, at least one. Raises KeyFileError."""
    lines = text.removesuffix(b"\n").split(b"\n")
    return tuple(_key_in(line, purpose) for line in lines)


def _key_in(line: bytes, purpose: Purpose) -> bytes:
    found = _LINE.fullmatch(line)
    if found is None:
        raise KeyFileError(
            f"is damaged: put it back from a backup. Without one, {_IF_LOST[purpose]}."
        )
    if found[1] != purpose.encode():
        raise KeyFileError(f"holds no {purpose} key but another one: put the right file there.")
    return bytes.fromhex(found[2].decode())
