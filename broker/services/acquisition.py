"""What a gateway asks for, and what it gets: values that the leasing services pass around."""

from dataclasses import dataclass, field

from broker.core.denial import Target
from broker.core.key import Key
from broker.core.lease_token import LeaseClaims
from broker.core.provider import Provider

DEFAULT_TTL_S = 300.0
MAX_TTL_S = 900.0
"""The longest one grant or renewal lasts; a longer TTL is cut."""

MAX_LIFE_S = 3600.0
"""Renewals end here, counted from the first grant."""


@dataclass(frozen=True, slots=True)
class AcquireRequest:
    """One request for a lease, checked: `ttl_s` and `concurrency` are positive.

    `tried` and `faults` are what the chain's lease token carries of earlier attempts; the faults
    were the provider's, at `faults_at`.
    """

    target: Target
    tenant: str = ""
    fallbacks: tuple[Target, ...] = ()
    request_id: str = ""
    attempt: int = 1
    excluded: tuple[str, ...] = ()
    affinity_key: str = ""
    ttl_s: float = DEFAULT_TTL_S
    concurrency: int = 1
    estimated_tokens: int = 0
    tried: tuple[str, ...] = ()
    faults: int = 0
    faults_at: Target | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A granted lease: its token, what it says, and the key it is on.

    `is_repeat` says that an earlier call was given it already, who may be using it.
    """

    lease_id: str
    claims: LeaseClaims
    key: Key
    provider: Provider
    provider_model: str
    is_degraded: bool = False
    is_repeat: bool = field(default=False, compare=False)

    @property
    def base_url(self) -> str:
        """Where the gateway sends its call."""
        return self.key.base_url or self.provider.base_url
