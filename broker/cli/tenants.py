"""`keybroker tenants policy`: whose keys serve a tenant."""

from collections.abc import Iterable
from typing import Annotated

import typer

from broker.cli.exits import Exit
from broker.cli.framework import command, new_group
from broker.cli.output import Output, note
from broker.cli.session import Session
from broker.cli.times import age, now
from broker.cli.words import number_of, word, words
from keybroker.v1 import admin_pb2, key_pb2, policy_pb2

app = new_group("Say whose keys serve a tenant.")
policy = new_group("Show or set the policy of a tenant: whose keys serve it.")
app.add_typer(policy, name="policy")

TENANT = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant.")]


@command(
    policy,
    "get",
    examples=("keybroker tenants policy get acme", "keybroker tenants policy get acme openai"),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def get_policy(
    session: Session,
    tenant: TENANT,
    provider: Annotated[
        str,
        typer.Argument(
            metavar="PROVIDER", help="The provider; without one, all that have a policy."
        ),
    ] = "",
) -> None:
    """Show whose keys serve a tenant.

    A policy that nobody set is the default: the system's keys. The first key that a tenant gets
    for a provider sets tenant_only there.
    """
    request = admin_pb2.GetTenantPolicyRequest(tenant_id=tenant, provider=provider)
    answer = session.call(session.admin.GetTenantPolicy, request)
    if session.out.is_json:
        session.out.json(answer)
    elif answer.policies:
        _show(session.out, answer.policies)
    else:
        note(f"No policy is set for {tenant}: system keys serve it.")


@command(
    policy,
    "set",
    examples=(
        "keybroker tenants policy set acme openai tenant_only",
        "keybroker tenants policy set acme openai tenant_then_system --fall-through exhausted",
    ),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def set_policy(
    session: Session,
    tenant: TENANT,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider.")],
    mode: Annotated[
        str,
        typer.Argument(
            metavar="MODE",
            help="tenant_only: its own keys and no others. tenant_then_system: its own, and the"
            " system's where it has none that works. system_only: the system's.",
        ),
    ],
    fall_through: Annotated[
        list[str] | None,
        typer.Option(
            "--fall-through",
            metavar="STATE",
            help="With tenant_then_system: the states of the tenant's keys in which the system's"
            " serve it; may be repeated.  [default: quarantined, exhausted]",
        ),
    ] = None,
) -> None:
    """Set whose keys serve a tenant for one provider.

    It is in force and durable when the command ends; nothing else changes it from then on.
    """
    mode_number = number_of(policy_pb2.PolicyMode.DESCRIPTOR, mode, "MODE")
    states = [
        number_of(key_pb2.KeyState.DESCRIPTOR, text, "--fall-through")
        for text in fall_through or ()
    ]
    request = admin_pb2.SetTenantPolicyRequest(
        tenant_id=tenant,
        provider=provider,
        mode=policy_pb2.PolicyMode.ValueType(mode_number),
        fall_through=[key_pb2.KeyState.ValueType(state) for state in states],
    )
    answer = session.call(session.admin.SetTenantPolicy, request)
    if session.out.is_json:
        session.out.json(answer)
    else:
        _show(session.out, [answer.policy])


def _show(out: Output, policies: Iterable[policy_pb2.TenantPolicy]) -> None:
    out.table(
        ("tenant", "provider", "mode", "falls through", "set", "by"),
        (
            (
                shown.tenant_id,
                shown.provider,
                word(shown, "mode"),
                ", ".join(words(shown, "fall_through")),
                age(shown.set_time, now()) or "never, the default",
                shown.set_by,
            )
            for shown in policies
        ),
    )
