"""`keybroker models`: what can be leased now."""

from typing import Annotated

import typer

from broker.cli.exits import Exit
from broker.cli.framework import command, new_app
from broker.cli.output import note
from broker.cli.paging import LIMIT, read_pages, tell_of_more
from broker.cli.session import Session
from broker.cli.words import word
from keybroker.v1 import status_pb2

app = new_app()


@command(
    app,
    "models",
    examples=("keybroker models", "keybroker models --provider openai --tenant acme"),
    exits=(Exit.NOT_FOUND,),
)
def models(
    session: Session,
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="Only this provider's.")
    ] = "",
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="TENANT", help="For this tenant; else for none.")
    ] = "",
    limit: LIMIT = 1000,
) -> None:
    """List the models that can be leased right now.

    They are configured, or a probe found that the provider lists them.
    """
    request = status_pb2.ListRunnableModelsRequest(provider=provider, tenant_id=tenant)
    page = read_pages(
        session,
        session.status.ListRunnableModels,
        request,
        limit,
        count=lambda page: len(page.models),
    )
    if session.out.is_json:
        session.out.json(page)
        return
    if not page.models:
        note("No model can be leased now: 'keybroker status' shows why.")
        return
    session.out.table(
        ("provider", "model", "keys", "provenance"),
        ((m.provider, m.model, str(m.key_count), word(m, "provenance")) for m in page.models),
    )
    tell_of_more(page, limit)
