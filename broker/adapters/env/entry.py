"""From the variables about one secret, or one list of them, to keys."""

from dataclasses import dataclass, field
from typing import Any, Final

from broker.adapters.env.assignment import Assignment, Fault
from broker.adapters.env.attributes import Attributes, read_attribute
from broker.adapters.env.variables import Variable
from broker.core.key import Key
from broker.core.secret import Secret
from broker.core.words import Provenance

MAX_SECRET_CHARS: Final = 8192
"""Longer than any key or signed token; what is longer fits into no request header."""


@dataclass(slots=True)
class Entry:
    """All variables about one secret variable; `secret` is None when only attributes are set."""

    variable: Variable
    secret: Assignment | None = None
    attributes: dict[str, Assignment] = field(default_factory=dict)

    def put(self, attribute: str, assignment: Assignment) -> None:
        """Note one variable."""
        if attribute:
            self.attributes[attribute] = assignment
        else:
            self.secret = assignment

    def order(self) -> tuple[str, int]:
        """Where this entry stands among all: of two equal secrets the first is used."""
        return self.variable.provider, int(self.variable.number or "-1")

    def read_attributes(self, faults: list[Fault]) -> Attributes | None:
        """The attributes; None when one is wrong: a key without its caps or models costs money."""
        values: dict[str, Any] = {}
        count = len(faults)
        for attribute, assignment in self.attributes.items():
            try:
                values[attribute.lower()] = read_attribute(attribute, assignment.value.strip())
            except ValueError as error:
                faults.append(
                    Fault(assignment.line, f"{assignment.name} {error}; the key is not used")
                )
        return Attributes(**values) if len(faults) == count else None


class KeyBuilder:
    """Makes keys of entries, one after the other; `keys` and `faults` grow."""

    def __init__(self, fingerprint_secret: bytes) -> None:
        self.keys: list[Key] = []
        self.faults: list[Fault] = []
        self._fingerprint_secret = fingerprint_secret
        self._labels: dict[tuple[str, Secret], str] = {}
        self._ids: dict[str, str] = {}

    def add(self, entry: Entry) -> None:
        """Make the keys of an entry, as far as nothing is wrong with them."""
        name = entry.variable.secret_name
        if entry.secret is None:
            for orphan in entry.attributes.values():
                self._fault(orphan.line, f"{orphan.name} is about {name}, which is not set")
            return
        attributes = entry.read_attributes(self.faults)
        line, value = entry.secret.line, entry.secret.value.strip()
        if not value:
            self._fault(line, f"{name} has no value")
        elif "," not in value:
            self._add(entry, attributes, line, value, name)
        else:
            self._add_list(entry, attributes, line, value)

    def _add_list(self, entry: Entry, attributes: Attributes | None, line: int, value: str) -> None:
        name = entry.variable.secret_name
        if attributes is not None and attributes.name:
            self._fault(
                entry.attributes["NAME"].line,
                f"{name}__NAME cannot name a list of keys: number them, {name}_1 and so on",
            )
            attributes = None
        for number, text in enumerate(value.split(","), start=1):
            label = f"secret {number} in {name}"
            if text.strip():
                self._add(entry, attributes, line, text.strip(), label, in_list=True)
            else:
                self._fault(line, f"{label} is empty")

    def _add(
        self,
        entry: Entry,
        attributes: Attributes | None,
        line: int,
        text: str,
        label: str,
        *,
        in_list: bool = False,
    ) -> None:
        fault = _secret_fault(text)
        if fault:
            self._fault(line, f"{label} {fault}; it is not used")
            return
        if attributes is None:
            return
        if text in (attributes.name, attributes.account):
            self._fault(line, f"{label} is also the key's name or account; it is not used")
            return
        provider, secret = entry.variable.provider, Secret(text)
        revision = secret.fingerprint(self._fingerprint_secret)
        derived = f"k-{revision[:8]}" if in_list else entry.variable.number or "default"
        key_id = f"{provider}/{attributes.name or derived}"
        if self._is_taken(provider, secret, key_id, label, line):
            return
        self.keys.append(
            Key(
                key_id=key_id,
                revision=revision,
                provider=provider,
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

    def _is_taken(self, provider: str, secret: Secret, key_id: str, label: str, line: int) -> bool:
        holder = self._labels.setdefault((provider, secret), label)
        if holder != label:
            self._fault(line, f"{label} is the same secret as {holder}, which stays")
            return True
        holder = self._ids.setdefault(key_id, label)
        if holder != label:
            self._fault(line, f"{label} has the key id {key_id} of {holder}, which stays")
            return True
        return False

    def _fault(self, line: int, message: str) -> None:
        self.faults.append(Fault(line, message))


def _secret_fault(text: str) -> str:
    if not (text.isascii() and text.isprintable() and " " not in text):
        return "has characters that cannot travel in a header"
    if len(text) > MAX_SECRET_CHARS:
        return f"is longer than {MAX_SECRET_CHARS} characters"
    return ""
