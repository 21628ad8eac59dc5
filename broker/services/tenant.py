"""What is known of a tenant in use, and where a key belongs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from broker.core.key import Key
from broker.core.tenancy import TenantPolicy

_NO_POLICIES: Mapping[str, TenantPolicy] = MappingProxyType({})
_NO_KEYS: Mapping[str, Key] = MappingProxyType({})
_NO_TIMES: Mapping[str, float] = MappingProxyType({})
_NO_SOURCES: Mapping[str, str] = MappingProxyType({})


class KeyPlace(NamedTuple):
    """Where a key belongs; an empty tenant marks a system key."""

    key_id: str
    provider: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """What is known of a tenant in use, as of a reading that began at `read_at`.

    `created_at` has all of its keys, by id. `unreadable` are those that cannot be opened, by id and
    without a secret. `sources` names the other systems that some of them come from.
    """

    name: str
    policies: Mapping[str, TenantPolicy] = field(default_factory=lambda: _NO_POLICIES)
    created_at: Mapping[str, float] = field(default_factory=lambda: _NO_TIMES)
    unreadable: Mapping[str, Key] = field(default_factory=lambda: _NO_KEYS)
    sources: Mapping[str, str] = field(default_factory=lambda: _NO_SOURCES)
    read_at: float = 0.0

    @property
    def cost(self) -> int:
        """How much of the cache it takes."""
        return 1 + len(self.created_at)

    @property
    def key_ids(self) -> frozenset[str]:
        """Its keys."""
        return frozenset(self.created_at)

    def gone_since(self, before: "Tenant") -> Iterator[tuple[str, float | None]]:
        """The keys that it had before and has no more.

        One that was made anew under its id was gone when that was: the time is given.
        """
        for key_id, made_at in before.created_at.items():
            made_anew_at = self.created_at.get(key_id)
            if made_anew_at != made_at:
                yield key_id, made_anew_at
