"""Does every circuit over a key, or over an upstream, admit one more lease?"""

from collections.abc import Iterable
from typing import NamedTuple

from broker.core.circuit import FOREVER, Circuit
from broker.core.health import Health
from broker.core.key import Key
from broker.core.policy import FAMILIES
from broker.core.scope import (
    Scope,
    Upstream,
    account_model_scope,
    account_scope,
    key_model_scope,
    key_scope,
    upstream_principal_scope,
    upstream_scope,
)
from broker.core.words import DenialReason, Family, State

MIN_INCONCLUSIVE_PROBES = 3
"""Probes that proved nothing before a customer's request may try a quarantined key."""

BLOCK_REASONS = {
    Family.LIMIT: DenialReason.COOLING_DOWN,
    Family.QUOTA: DenialReason.EXHAUSTED,
    Family.CREDENTIAL: DenialReason.QUARANTINED,
    Family.ACCESS: DenialReason.RESTRICTED,
    Family.HEALTH: DenialReason.UPSTREAM_OPEN,
}

SEVERITY = (
    DenialReason.QUARANTINED,
    DenialReason.EXHAUSTED,
    DenialReason.RESTRICTED,
    DenialReason.UPSTREAM_OPEN,
    DenialReason.COOLING_DOWN,
)
"""Which block names the state of a key that several circuits block."""


class Permit(NamedTuple):
    """The right to make the one trial of a half-open circuit."""

    scope: Scope
    family: Family


STATE_NAMES = {
    DenialReason.COOLING_DOWN: "cooling_down",
    DenialReason.EXHAUSTED: "exhausted",
    DenialReason.QUARANTINED: "quarantined",
    DenialReason.RESTRICTED: "restricted",
    DenialReason.ALL_DISABLED: "disabled",
}
"""The state of a key that is refused for a reason; for any other reason it is healthy."""


class Block(NamedTuple):
    """Why a lease is refused, and until when (inf: an event has to happen first).

    `family` is that of the half-open circuit whose trial is busy, None for every other reason.
    """

    reason: DenialReason
    until: float
    family: Family | None = None

    @property
    def key_state(self) -> str:
        """The state of a key that this refuses."""
        if self.family is not None:
            return FAMILIES[self.family].pool_state
        return STATE_NAMES.get(self.reason, "healthy")


class Admission(NamedTuple):
    """What circuits say: `block` refuses; else a lease needs `permits` and counts on `ramps`."""

    block: Block | None = None
    permits: tuple[Permit, ...] = ()
    ramps: tuple[Circuit, ...] = ()


FREE = Admission()


def key_scopes(key: Key, model: str) -> tuple[Scope, ...]:
    """The scopes over a key for a model, apart from the upstream's."""
    scopes = (
        key_scope(key.provider, key.key_id, key.revision),
        key_model_scope(key.provider, key.key_id, key.revision, model),
    )
    if not key.account:
        return scopes
    return (
        *scopes,
        account_scope(key.provider, key.owner, key.account),
        account_model_scope(key.provider, key.owner, key.account, model),
    )


def upstream_scopes(upstream: Upstream, principal: str) -> tuple[Scope, ...]:
    """The scopes over an upstream as one principal reaches it."""
    return (upstream_scope(upstream), upstream_principal_scope(upstream, principal))


def admit(healths: Iterable[Health], scopes: tuple[Scope, ...], now: float) -> Admission:
    """What all circuits of `scopes` in all `healths` say at `now`."""
    records = [
        record
        for health in healths
        if not health.is_calm()
        for scope in scopes
        for record in health.families(scope).values()
    ]
    return judge(records, now) if records else FREE


def judge(records: Iterable[Circuit], now: float) -> Admission:
    """What these circuits say together: the gravest block, the longest wait."""
    blocks: list[Block] = []
    permits: list[Permit] = []
    ramps: list[Circuit] = []
    for record in records:
        if record.is_spent(now):
            continue  # as if the next sweep had been already
        standing = record.standing(now)
        if standing.state is State.OPEN:
            blocks.append(Block(_reason(record), standing.ends))
        elif standing.state is State.RAMPING:
            ramps.append(record)
        elif standing.state is State.HALF_OPEN:
            if takes_customer_trial(record):
                permits.append(Permit(record.scope, record.family))
            else:
                blocks.append(Block(_reason(record), FOREVER))
    if blocks:
        reason = min((block.reason for block in blocks), key=SEVERITY.index)
        return Admission(block=Block(reason, max(block.until for block in blocks)))
    return Admission(permits=tuple(permits), ramps=tuple(ramps))


def _reason(record: Circuit) -> DenialReason:
    """The word for an open circuit; a key's own health is no upstream's."""
    if record.family is Family.HEALTH and record.scope.key_id:
        return DenialReason.COOLING_DOWN
    return BLOCK_REASONS[record.family]


def takes_customer_trial(record: Circuit) -> bool:
    """May a customer's request be this half-open circuit's trial: not where a probe can tell."""
    if record.family is not Family.CREDENTIAL:
        return True
    return not record.probeable or record.inconclusive >= MIN_INCONCLUSIVE_PROBES
