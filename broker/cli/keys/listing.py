"""`keybroker keys list` and `show`."""

from typing import Annotated

import typer

from broker.cli.exits import Exit
from broker.cli.framework import command
from broker.cli.keys.group import KEY_ID, PROVIDER, app
from broker.cli.keys.rendering import KEY_COLUMNS, key_row, show_key
from broker.cli.output import note
from broker.cli.paging import LIMIT, read_pages, tell_of_more
from broker.cli.session import Session
from broker.cli.times import now
from broker.cli.words import number_of
from keybroker.v1 import admin_pb2, key_pb2


@command(
    app,
    "list",
    examples=(
        "keybroker keys list",
        "keybroker keys list --state quarantined --format json | jq -r '.keys[].key_id'",
    ),
    exits=(Exit.NOT_FOUND,),
)
def list_keys(
    session: Session,
    provider: PROVIDER = "",
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="TENANT", help="Only this tenant's.")
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only those that are healthy, cooling_down, restricted, exhausted, quarantined,"
            " disabled or unreadable.",
        ),
    ] = "",
    provenance: Annotated[
        str, typer.Option("--provenance", metavar="OWNERS", help="Only those of system or tenant.")
    ] = "",
    limit: LIMIT = 1000,
) -> None:
    """List keys by provider and id, with how they stand."""
    request = admin_pb2.ListKeysRequest(provider=provider, tenant_id=tenant)
    if state:
        number = number_of(key_pb2.KeyState.DESCRIPTOR, state, "--state")
        request.state = key_pb2.KeyState.ValueType(number)
    if provenance:
        number = number_of(key_pb2.Provenance.DESCRIPTOR, provenance, "--provenance")
        request.provenance = key_pb2.Provenance.ValueType(number)
    page = read_pages(
        session, session.admin.ListKeys, request, limit, count=lambda page: len(page.keys)
    )
    if session.out.is_json:
        session.out.json(page)
    elif page.keys:
        at = now()
        session.out.table(KEY_COLUMNS, (key_row(key, at) for key in page.keys))
        tell_of_more(page, limit)
    else:
        note("There are no such keys.")


@command(
    app,
    "show",
    examples=("keybroker keys show openai/default",),
    exits=(Exit.NOT_FOUND,),
)
def show(session: Session, key_id: KEY_ID) -> None:
    """Show one key: its state, settings, revisions and circuits."""
    key = session.call(session.admin.GetKey, admin_pb2.GetKeyRequest(key_id=key_id)).key
    if session.out.is_json:
        session.out.json(key)
    else:
        show_key(session.out, key)
