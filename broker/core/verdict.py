"""What the broker concludes from an outcome."""

from dataclasses import dataclass

from broker.core.words import Evidence, Kind, QuotaWindow, ScopeKind

PROVIDER_FAULTS = frozenset({Kind.OVERLOADED, Kind.SERVER_ERROR, Kind.UNREACHABLE})
"""Kinds for which the key is innocent and the upstream's window counts."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged outcome.

    `retry_hint_s` is the provider's own word on when to come back, in seconds from the answer.
    `rule` names what matched, as `file:rule`, or a built-in fallback such as `status:503`.
    `missing_auth` marks a gateway that sent no key at all: the key is innocent until probed.
    """

    kind: Kind
    scope: ScopeKind
    evidence: Evidence
    rule: str
    retry_hint_s: float | None = None
    quota_window: QuotaWindow | None = None
    missing_auth: bool = False
