"""Which secrets hold keys."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HARMLESS = re.compile(r"[A-Za-z0-9/_+=.@:!*\- ]{1,160}")


@dataclass(frozen=True, slots=True)
class Selector:
    """A secret by its name or ARN, or all whose names begin so, or that have the tag `key=value`.

    Exactly one of the three is set. `provider` says whose keys they are where the secrets do not.
    """

    name: str = ""
    prefix: str = ""
    tag: str = ""
    provider: str = ""

    @property
    def is_listed(self) -> bool:
        """Must AWS be asked which secrets these are?"""
        return not self.name

    @property
    def place(self) -> str:
        """How faults name it."""
        return shown(self.name or (f"{self.prefix}*" if self.prefix else f"tag {self.tag}"))

    def filters(self) -> list[dict[str, object]]:
        """What narrows a listing to these secrets and some that only resemble them."""
        if self.prefix:
            return [{"Key": "name", "Values": [self.prefix]}]
        key, _, value = self.tag.partition("=")
        filters: list[dict[str, object]] = [{"Key": "tag-key", "Values": [key]}]
        return [*filters, {"Key": "tag-value", "Values": [value]}] if value else filters

    def fits(self, name: str, tags: Mapping[str, str]) -> bool:
        """Is a listed secret one of these?"""
        if self.prefix:
            return name.startswith(self.prefix)
        key, _, value = self.tag.partition("=")
        return tags.get(key) == value


def shown(name: str) -> str:
    """A secret's name as faults show it, whatever AWS says it is."""
    return name if _HARMLESS.fullmatch(name) else f"{re.sub('[^A-Za-z0-9/_.-]', '?', name[:80])}..."
