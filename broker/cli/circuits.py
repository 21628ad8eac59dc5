"""`keybroker circuits`: the health records that keep leases away."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self

import typer

from broker.cli.display import CIRCUIT_COLUMNS, circuit_row
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_group
from broker.cli.output import note
from broker.cli.session import Session
from broker.cli.times import now
from broker.cli.words import number_of
from keybroker.v1 import admin_pb2, circuit_pb2, scope_pb2, status_pb2

app = new_group("List the circuits that are not closed, and close them.")


@command(
    app, "list", examples=("keybroker circuits list", "keybroker circuits list --provider openai")
)
def list_circuits(
    session: Session,
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="Only this provider's.")
    ] = "",
) -> None:
    """List the circuits that are not closed.

    The latest change comes first. There is none where everything is well.
    """
    shown = session.call(session.status.GetStatus, status_pb2.GetStatusRequest()).status
    circuits = [c for c in shown.circuits if provider in {"", c.scope.provider}]
    if session.out.is_json:
        answer = status_pb2.BrokerStatus(time=shown.time, circuits=circuits)
        session.out.json_fields(answer, "time", "circuits")
        return
    if not circuits:
        note("Every circuit is closed.")
        return
    session.out.table(CIRCUIT_COLUMNS, (circuit_row(circuit, now()) for circuit in circuits))


class ScopeOptions:
    """Which circuits are meant; what is given decides how wide the scope is."""

    OPTIONS: ClassVar[Mapping[str, Any]] = {
        name: Annotated[str | None, typer.Option(f"--{name}", metavar=metavar, help=help_text)]
        for name, metavar, help_text in (
            ("key", "KEY_ID", "This key; with --model, this key on that model."),
            ("revision", "REVISION", "With --key: only this revision."),
            ("account", "NAME", "This account of --provider; with --model, on that model."),
            ("owner", "TENANT", "With --account: the tenant that owns it."),
            ("provider", "NAME", "The provider; with --model alone, that upstream."),
            ("model", "NAME", "The model."),
            ("endpoint", "URL", "Of an upstream: only this endpoint."),
            ("principal", "NAME", "Of an upstream: as this gateway sees it."),
        )
    }

    def __init__(self, scope: scope_pb2.Scope) -> None:
        self.scope = scope

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """The scope that the options name; raises CommandError."""
        named = {name: value for name, value in given.items() if value}
        for kind, needed, allowed in SHAPES:
            if needed <= named.keys() <= needed | allowed:
                key_id = named.pop("key", "")
                return cls(scope_pb2.Scope(kind=kind, key_id=key_id, **named))
        raise CommandError(
            Exit.USAGE,
            "name what to close: --key [--model], --provider --account [--model], or --provider"
            " --model [--principal]; see 'keybroker circuits clear --help'",
        )


SHAPES: Final = (
    (scope_pb2.SCOPE_KIND_KEY, {"key"}, {"revision", "provider"}),
    (scope_pb2.SCOPE_KIND_KEY_MODEL, {"key", "model"}, {"revision", "provider"}),
    (scope_pb2.SCOPE_KIND_ACCOUNT, {"provider", "account"}, {"owner"}),
    (scope_pb2.SCOPE_KIND_ACCOUNT_MODEL, {"provider", "account", "model"}, {"owner"}),
    (scope_pb2.SCOPE_KIND_UPSTREAM, {"provider", "model"}, {"endpoint"}),
    (scope_pb2.SCOPE_KIND_UPSTREAM_PRINCIPAL, {"provider", "model", "principal"}, {"endpoint"}),
)
"""Kinds of scopes with the options that each needs, and those that it allows."""


@command(
    app,
    "clear",
    examples=(
        "keybroker circuits clear --key openai/default",
        "keybroker circuits clear --provider openai --model gpt-4o --family health",
    ),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def clear(
    session: Session,
    scope: ScopeOptions,
    family: Annotated[
        str,
        typer.Option(
            "--family",
            metavar="FAMILY",
            help="Only in this family: limit, quota, credential, access or health.",
        ),
    ] = "",
) -> None:
    """Close circuits, against the broker's own judgement.

    The next failure opens them again as the first did. Clearing a key does not clear its models,
    and nothing that is disabled is enabled. What is closed already is no error.
    """
    request = admin_pb2.ClearCircuitRequest(scope=scope.scope)
    if family:
        number = number_of(circuit_pb2.Family.DESCRIPTOR, family, "--family")
        request.family = circuit_pb2.Family.ValueType(number)
    answer = session.call(session.admin.ClearCircuit, request)
    if session.out.is_json:
        session.out.json(answer)
        return
    if not answer.cleared:
        note("Nothing was open there: 'keybroker circuits list' shows what is.")
        return
    note("Closed; before, they were:")
    session.out.table(CIRCUIT_COLUMNS, (circuit_row(circuit, now()) for circuit in answer.cleared))
