"""From the variables about one secret, or one list of them, to keys."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from broker.adapters.env.assignment import Assignment
from broker.adapters.env.attributes import read_attribute
from broker.adapters.env.variables import Variable
from broker.adapters.sources.attributes import Attributes
from broker.adapters.sources.building import Declared, KeyBuilder


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

    def build(self, builder: KeyBuilder) -> None:
        """Make the keys of the entry, as far as nothing is wrong with them."""
        name = self.variable.secret_name
        if self.secret is None:
            for orphan in self.attributes.values():
                builder.fault(orphan.line, f"{orphan.name} is about {name}, which is not set")
            return
        attributes = self._read_attributes(builder)
        if not self.secret.value.strip():
            builder.fault(self.secret.line, f"{name} has no value")
        elif "," not in self.secret.value:
            name_of_key = self.variable.number or "default"
            builder.add(self._declared(self.secret.value, attributes, name, name_of_key))
        else:
            for declared in self._listed(self.secret, attributes, builder):
                builder.add(declared)

    def _listed(
        self, secret: Assignment, attributes: Attributes | None, builder: KeyBuilder
    ) -> Iterator[Declared]:
        name = self.variable.secret_name
        if attributes is not None and attributes.name:
            builder.fault(
                self.attributes["NAME"].line,
                f"{name}__NAME cannot name a list of keys: number them, {name}_1 and so on",
            )
            attributes = None
        for number, text in enumerate(secret.value.split(","), start=1):
            label = f"secret {number} in {name}"
            if text.strip():
                yield self._declared(text, attributes, label)
            else:
                builder.fault(secret.line, f"{label} is empty")

    def _declared(
        self, text: str, attributes: Attributes | None, label: str, name: str = ""
    ) -> Declared:
        line = self.secret.line if self.secret else 0
        return Declared(self.variable.provider, text.strip(), attributes, line, label, name)

    def _read_attributes(self, builder: KeyBuilder) -> Attributes | None:
        """The attributes; None when one is wrong: a key without its caps or models costs money."""
        values: dict[str, Any] = {}
        count = len(builder.faults)
        for attribute, assignment in self.attributes.items():
            try:
                values[attribute.lower()] = read_attribute(attribute, assignment.value.strip())
            except ValueError as error:
                builder.fault(assignment.line, f"{assignment.name} {error}; the key is not used")
        return Attributes(**values) if len(builder.faults) == count else None
