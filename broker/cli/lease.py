"""`keybroker lease try`: does a gateway get what it needs?"""

from typing import Annotated, Final

import typer
from google.protobuf.duration_pb2 import Duration

from broker.cli.asking import AskOptions
from broker.cli.display import denial_fields, upstream_name, yes
from broker.cli.exits import Exit
from broker.cli.framework import command, new_group
from broker.cli.output import as_json
from broker.cli.session import Session
from broker.cli.times import age, now
from broker.cli.words import word
from keybroker.v1 import lease_pb2

TTL_S: Final = 30
"""Should the release be lost, the lease is over soon."""

app = new_group("Try a lease as a gateway would.")


@command(
    app,
    "try",
    examples=(
        "keybroker lease try openai gpt-4o",
        "keybroker lease try openai gpt-4o --tenant acme",
    ),
    exits=(Exit.REFUSED, Exit.NOT_FOUND, Exit.STORE),
)
def try_lease(
    session: Session,
    ask: AskOptions,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model.")],
) -> None:
    """Acquire a lease, show everything but the secret, and release it.

    The provider is not called and nothing is learned about the key. The lease id is not shown
    either: it lets its holder report. Exits with 3 when the lease is denied.
    """
    request = ask.request(provider, model)
    request.ttl.CopyFrom(Duration(seconds=TTL_S))
    answer = session.call(session.leases.AcquireLease, request)
    if answer.HasField("denial"):
        if session.out.is_json:
            session.out.json(answer)
        else:
            session.out.fields(denial_fields(answer.denial))
        raise typer.Exit(Exit.REFUSED)
    lease = answer.lease
    lease_id = lease.lease_id
    lease.ClearField("lease_id")
    lease.api_key.ClearField("secret")
    session.call(session.leases.ReleaseLease, lease_pb2.ReleaseLeaseRequest(lease_id=lease_id))
    _show(session, lease)


def _show(session: Session, lease: lease_pb2.Lease) -> None:
    if session.out.is_json:
        shown = as_json(lease)
        del shown["lease_id"]
        session.out.json({"lease": shown, "released": True})
        return
    auth = lease.api_key
    session.out.fields(
        (
            ("key", lease.key_id),
            ("revision", lease.revision),
            ("provenance", word(lease, "provenance")),
            ("for", upstream_name(lease.provider, lease.model)),
            ("send model", lease.provider_model),
            ("to", lease.base_url),
            ("with header", f"{auth.header_name}: {auth.header_prefix}…"),
            *((f"and {name}", value) for name, value in sorted(auth.extra_headers.items())),
            ("trial", yes(lease.trial)),
            ("degraded", yes(lease.degraded)),
            ("would end", age(lease.expire_time, now())),
            ("released", "yes"),
        )
    )
