"""What the services for observers and operators both show: scopes, circuits, disablements."""

from broker.core.scope import Scope
from broker.core.words import ScopeKind
from broker.edge.grpc.fields import check_name
from broker.edge.grpc.times import timestamp
from broker.edge.grpc.words import CIRCUIT_STATES, FAMILIES, KINDS, SCOPE_KINDS
from broker.ports.mark_store import Mark
from broker.services.errors import InvalidFieldError
from broker.services.paging import PageRequest
from broker.services.standing import CircuitView
from keybroker.v1 import admin_pb2, circuit_pb2, key_pb2, scope_pb2, status_pb2

_SCOPE_KINDS: dict[int, ScopeKind] = {number: kind for kind, number in SCOPE_KINDS.items()}


def read_page(
    request: status_pb2.ListRunnableModelsRequest
    | admin_pb2.ListKeysRequest
    | admin_pb2.ListEventsRequest,
) -> PageRequest:
    """Which page a list request wants."""
    return PageRequest(request.page_size, request.page_token)


def read_scope(message: scope_pb2.Scope) -> Scope:
    """The scope that an operator names; raises InvalidFieldError."""
    kind = _SCOPE_KINDS.get(message.kind)
    if kind is None:
        raise InvalidFieldError("scope.kind", "is required: one of ScopeKind")
    return Scope(
        kind=kind,
        provider=check_name("scope.provider", message.provider),
        key_id=check_name("scope.key_id", message.key_id),
        revision=check_name("scope.revision", message.revision),
        owner=check_name("scope.owner", message.owner),
        account=check_name("scope.account", message.account),
        endpoint=check_name("scope.endpoint", message.endpoint),
        model=check_name("scope.model", message.model),
        principal=check_name("scope.principal", message.principal),
    )


def write_scope(scope: Scope) -> scope_pb2.Scope:
    """The message of a scope."""
    return scope_pb2.Scope(
        kind=SCOPE_KINDS[scope.kind],
        provider=scope.provider,
        endpoint=scope.endpoint,
        model=scope.model,
        key_id=scope.key_id,
        revision=scope.revision,
        account=scope.account,
        owner=scope.owner,
        principal=scope.principal,
    )


def write_circuit(view: CircuitView) -> circuit_pb2.Circuit:
    """The message of a circuit as it stood."""
    record = view.record
    return circuit_pb2.Circuit(
        scope=write_scope(record.scope),
        family=FAMILIES[record.family],
        state=CIRCUIT_STATES[view.state],
        reason=KINDS[record.kind],
        level=view.level,
        since=timestamp(view.since),
        until=None if view.until is None else timestamp(view.until),
        reported_by=record.reported_by,
    )


def write_disablement(mark: Mark) -> key_pb2.Disablement:
    """Who disabled something, when and why."""
    return key_pb2.Disablement(by=mark.principal, at=timestamp(mark.at), reason=mark.reason)


def write_disabled_upstream(mark: Mark) -> status_pb2.DisabledUpstream:
    """The message of an upstream that a mark disables."""
    provider, _, model = mark.subject.partition("/")
    return status_pb2.DisabledUpstream(
        provider=provider, model=model, disabled=write_disablement(mark)
    )
