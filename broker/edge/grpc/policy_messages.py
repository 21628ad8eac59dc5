"""Tenant policies between protobuf and the services."""

from collections.abc import Iterable, Mapping
from typing import Final

from broker.core.admission import STATE_NAMES
from broker.core.tenancy import CAN_FALL_THROUGH, PolicyMode, TenantPolicy
from broker.core.words import DenialReason
from broker.edge.grpc.times import timestamp
from broker.edge.grpc.words import KEY_STATES, POLICY_MODES
from broker.services.errors import InvalidFieldError
from broker.services.standing import KeyState
from keybroker.v1 import admin_pb2, policy_pb2

_STATES: Final = {
    reason: KEY_STATES[KeyState(STATE_NAMES[reason])] for reason in sorted(CAN_FALL_THROUGH)
}
_REASONS: dict[int, DenialReason] = {number: reason for reason, number in _STATES.items()}
_MODES: Mapping[int, PolicyMode] = {number: mode for mode, number in POLICY_MODES.items()}


def read_mode(message: admin_pb2.SetTenantPolicyRequest) -> PolicyMode:
    """Whose keys; raises InvalidFieldError."""
    mode = _MODES.get(message.mode)
    if mode is None:
        raise InvalidFieldError("mode", "is required: one of PolicyMode")
    return mode


def read_fall_through(message: admin_pb2.SetTenantPolicyRequest) -> frozenset[DenialReason]:
    """The states that fall through, as the refusals they cause; raises InvalidFieldError."""
    for index, number in enumerate(message.fall_through):
        if number not in _REASONS:
            names = ", ".join(STATE_NAMES[reason].upper() for reason in _STATES)
            raise InvalidFieldError(f"fall_through[{index}]", f"must be one of {names}")
    return frozenset(_REASONS[number] for number in message.fall_through)


def write_policies(policies: Iterable[TenantPolicy]) -> admin_pb2.GetTenantPolicyResponse:
    """The message of some policies."""
    return admin_pb2.GetTenantPolicyResponse(policies=[write_policy(each) for each in policies])


def write_policy(policy: TenantPolicy) -> policy_pb2.TenantPolicy:
    """The message of a policy."""
    return policy_pb2.TenantPolicy(
        tenant_id=policy.tenant,
        provider=policy.provider,
        mode=POLICY_MODES[policy.mode],
        fall_through=[_STATES[reason] for reason in _STATES if reason in policy.fall_through],
        set_by=policy.set_by,
        set_time=timestamp(policy.set_at) if policy.set_at else None,
    )
