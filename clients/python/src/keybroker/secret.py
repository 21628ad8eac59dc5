"""A provider's secret, in a type that cannot be rendered by accident."""

import hmac
from typing import Never


class Secret:
    """A plaintext that shows itself only to `reveal`: repr, str, format and pickle never do."""

    __slots__ = ("_plaintext",)

    def __init__(self, plaintext: str) -> None:
        self._plaintext = plaintext

    def reveal(self) -> str:
        """The plaintext: call this only where it leaves for the provider."""
        return self._plaintext

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._plaintext.encode(), other._plaintext.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._plaintext))

    def __bool__(self) -> bool:
        return bool(self._plaintext)

    def __repr__(self) -> str:
        return "Secret(**redacted**)"

    def __reduce__(self) -> Never:
        """Refuse to be pickled, so that no queue or cache stores a plaintext."""
        raise TypeError("a Secret is never serialised")
