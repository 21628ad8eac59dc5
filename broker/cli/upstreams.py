"""`keybroker upstreams`: providers and models, and taking them out of use."""

from typing import Annotated

import typer

from broker.cli.display import upstream_name
from broker.cli.exits import Exit
from broker.cli.framework import command, new_group
from broker.cli.output import note
from broker.cli.session import Session
from broker.cli.times import age, now
from keybroker.v1 import admin_pb2, key_pb2, status_pb2

app = new_group("List upstreams, take them out of use, and put them back.")

PROVIDER = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider.")]
MODEL = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model; without one, the whole provider.")
]


@command(app, "list", examples=("keybroker upstreams list",))
def list_upstreams(session: Session) -> None:
    """List upstreams: those in use, and those that are disabled.

    In use are those with calls in the last minute.
    """
    shown = session.call(session.status.GetStatus, status_pb2.GetStatusRequest()).status
    if session.out.is_json:
        session.out.json_fields(shown, "time", "upstreams", "disabled_upstreams")
        return
    marks = {(d.provider, d.model): d.disabled for d in shown.disabled_upstreams}
    rows = []
    for upstream in shown.upstreams:
        name = upstream_name(upstream.provider, upstream.model)
        at = f" at {upstream.endpoint}" if upstream.endpoint else ""
        counts = (str(upstream.ok_count), str(upstream.failed_count), f"{upstream.uptime:.1%}")
        own = marks.pop((upstream.provider, upstream.model), None)
        mark = own or marks.get((upstream.provider, ""))
        rows.append((name + at, *counts, _disabled(mark)))
    for (provider, model), mark in marks.items():
        rows.append((upstream_name(provider, model), "–", "–", "–", _disabled(mark)))
    if not rows:
        note("No upstream had calls in the last minute, and none is disabled.")
        return
    session.out.table(("upstream", "ok", "failed", "uptime", "disabled"), rows)


def _disabled(mark: key_pb2.Disablement | None) -> str:
    """When, by whom and why; "" for what is in use."""
    if mark is None:
        return ""
    return f"{age(mark.at, now())} by {mark.by}: {mark.reason}".removesuffix(": ")


@command(
    app,
    "disable",
    examples=(
        "keybroker upstreams disable openai --reason 'contract ended'",
        "keybroker upstreams disable openai gpt-4o",
    ),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def disable(
    session: Session,
    provider: PROVIDER,
    model: MODEL = "",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever finds it disabled.")
    ] = "",
) -> None:
    """Take a provider, or one of its models, out of use.

    No lease is granted for it until 'keybroker upstreams enable'; requests go to their fallbacks.
    Doing it again changes nothing.
    """
    request = admin_pb2.DisableUpstreamRequest(provider=provider, model=model, reason=reason)
    answer = session.call(session.admin.DisableUpstream, request)
    if session.out.is_json:
        session.out.json(answer)
        return
    mark = answer.upstream.disabled
    session.out.fields(
        (
            ("disabled", upstream_name(answer.upstream.provider, answer.upstream.model)),
            ("since", age(mark.at, now())),
            ("by", mark.by),
            ("reason", mark.reason),
        )
    )


@command(
    app,
    "enable",
    examples=("keybroker upstreams enable openai", "keybroker upstreams enable openai gpt-4o"),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def enable(session: Session, provider: PROVIDER, model: MODEL = "") -> None:
    """Put a provider, or one of its models, back into use.

    It undoes 'keybroker upstreams disable' for the same provider and model. Models that were
    disabled one by one stay so when their provider is enabled.
    """
    request = admin_pb2.EnableUpstreamRequest(provider=provider, model=model)
    answer = session.call(session.admin.EnableUpstream, request)
    if session.out.is_json:
        session.out.json(answer)
    else:
        session.out.line(f"{upstream_name(provider, model)} is enabled.")
