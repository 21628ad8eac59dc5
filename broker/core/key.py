"""A provider API key as a managed thing: a stable id over changing plaintexts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from types import MappingProxyType

from broker.core.secret import Secret
from broker.core.words import Provenance

_ALL_MODELS: Mapping[str, str] = MappingProxyType({})


def is_system_id(key_id: str) -> bool:
    """Is it the id of a system key, `provider/name`? No tenant's key has a slash in its id."""
    return "/" in key_id


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Caps an operator sets on a key; 0 means no cap."""

    concurrency: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What an operator says of a key beside its secret; see Key."""

    models: Mapping[str, str] = field(default_factory=lambda: _ALL_MODELS)
    weight: float = 1.0
    priority: int = 0
    limits: KeyLimits = KeyLimits()
    account: str = ""
    expires_at: datetime | None = None
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of one provider.

    `models` maps a glob over requested model names to the provider's own name for it ("" keeps
    the requested name); an empty mapping allows every model. `revision` is the fingerprint of
    `secret`. `owner` is the tenant id for TENANT keys and "" for SYSTEM keys. A higher `priority`
    is tried first. `base_url` "" means the provider's.
    """

    key_id: str
    revision: str
    provider: str
    secret: Secret
    provenance: Provenance
    owner: str = ""
    models: Mapping[str, str] = field(default_factory=lambda: _ALL_MODELS)
    weight: float = 1.0
    priority: int = 0
    limits: KeyLimits = KeyLimits()
    account: str = ""
    expires_at: datetime | None = None
    base_url: str = ""

    def provider_model(self, model: str) -> str | None:
        """The provider's name for `model` under this key, or None when it is not allowed."""
        if not self.models:
            return model
        exact = self.models.get(model)
        if exact is not None:
            return exact or model
        for pattern, name in self.models.items():
            if fnmatchcase(model, pattern):
                return name or model
        return None
