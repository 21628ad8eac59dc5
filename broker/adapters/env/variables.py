"""Which variable means which key: `OPENAI_API_KEY_2__WEIGHT` is the weight of openai's key 2."""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

_REST: Final = re.compile(r"(?:_(0|[1-9][0-9]{0,3}))?(?:__([A-Z][A-Z_]{0,40}))?")
_HARMLESS: Final = re.compile(r"[A-Z0-9_]{1,40}")


class Variable(NamedTuple):
    """A provider's variable: `number` is "" for the one without, `attribute` "" for the secret."""

    provider: str
    base: str
    number: str
    attribute: str

    @property
    def secret_name(self) -> str:
        """The name of the variable that holds the secret."""
        return f"{self.base}_{self.number}" if self.number else self.base


class UnknownVariable(NamedTuple):
    """A variable that begins like a provider's, but means nothing."""

    message: str


class Variables:
    """The names that belong to the configured providers."""

    def __init__(self, providers: Collection[str]) -> None:
        self._providers: dict[str, list[str]] = {}
        for provider in sorted(providers):
            self._providers.setdefault(variable_base(provider), []).append(provider)

    def read(self, name: str) -> Variable | UnknownVariable | None:
        """What a name means; None when it is no provider's."""
        if "_API_KEY" not in name:
            return None
        bases = [b for b in self._providers if name == b or name.startswith(f"{b}_")]
        if not bases:
            return None
        base = max(bases, key=len)
        shown = name if _HARMLESS.fullmatch(name[len(base) :] or "_") else f"{base}..."
        if len(self._providers[base]) > 1:
            rivals = " and ".join(self._providers[base])
            return UnknownVariable(f"{shown} could belong to {rivals}: rename one provider")
        match = _REST.fullmatch(name, len(base))
        if match is None:
            return UnknownVariable(f"{shown} is not read: expected {base} or {base}_<number>")
        return Variable(self._providers[base][0], base, match[1] or "", match[2] or "")


def variable_base(provider: str) -> str:
    """The variable of a provider's first key: `azure-eastus` has `AZURE_EASTUS_API_KEY`."""
    return re.sub(r"[^A-Z0-9]", "_", provider.upper()) + "_API_KEY"
