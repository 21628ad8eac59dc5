"""From what a source says of a secret to a key."""

from dataclasses import dataclass, field
from typing import Final

from broker.adapters.sources.attributes import Attributes
from broker.adapters.sources.fault import Fault
from broker.core.key import Key
from broker.core.secret import Secret
from broker.core.words import Provenance

MAX_SECRET_CHARS: Final = 8192
"""Longer than any key or signed token; what is longer fits into no request header."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One secret as a source gives it, with what it is called in faults.

    `attributes` are None when one of them is wrong. The key is named by them, else `name`, else
    after its secret.
    """

    provider: str
    text: str = field(repr=False)
    attributes: Attributes | None
    line: int
    label: str
    name: str = ""


class KeyBuilder:
    """Makes keys, one after the other; `keys` and `faults` grow."""

    def __init__(self, fingerprint_secret: bytes) -> None:
        self.keys: list[Key] = []
        self.faults: list[Fault] = []
        self._fingerprint_secret = fingerprint_secret
        self._labels: dict[tuple[str, Secret], str] = {}
        self._ids: dict[str, str] = {}

    def fault(self, line: int, message: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(line, message))

    def add(self, declared: Declared) -> None:
        """Make the key of a secret, unless something is wrong with it."""
        text, line, label = declared.text, declared.line, declared.label
        problem, attributes = _problem(text), declared.attributes
        if problem:
            self.fault(line, f"{label} {problem}; it is not used")
            return
        if attributes is None:
            return
        if text in (attributes.name, attributes.account):
            self.fault(line, f"{label} is also the key's name or account; it is not used")
            return
        secret = Secret(text)
        revision = secret.fingerprint(self._fingerprint_secret)
        name = attributes.name or declared.name or f"k-{revision[:8]}"
        key_id = f"{declared.provider}/{name}"
        if self._is_taken(declared, secret, key_id):
            return
        self.keys.append(
            Key(
                key_id=key_id,
                revision=revision,
                provider=declared.provider,
                secret=secret,
                provenance=Provenance.SYSTEM,
                models=attributes.models,
                weight=attributes.weight,
                priority=attributes.priority,
                limits=attributes.limits,
                account=attributes.account,
                expires_at=attributes.expires_at,
                base_url=attributes.base_url,
            )
        )

    def _is_taken(self, declared: Declared, secret: Secret, key_id: str) -> bool:
        line, label = declared.line, declared.label
        holder = self._labels.setdefault((declared.provider, secret), label)
        if holder != label:
            self.fault(line, f"{label} is the same secret as {holder}, which stays")
            return True
        holder = self._ids.setdefault(key_id, label)
        if holder != label:
            self.fault(
                line, f"{label} has the name of {holder}, {key_id}, which stays: give it another"
            )
            return True
        return False


def _problem(text: str) -> str:
    if not (text.isascii() and text.isprintable() and " " not in text):
        return "has characters that cannot travel in a header"
    if len(text) > MAX_SECRET_CHARS:
        return f"is longer than {MAX_SECRET_CHARS} characters"
    return ""
