"""`keybroker events`: what happened, and what happens."""

import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from broker.cli.display import upstream_name
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_app
from broker.cli.output import Output, note
from broker.cli.paging import LIMIT, read_pages, tell_of_more
from broker.cli.session import Session
from broker.cli.times import clock, read_moment
from keybroker.v1 import admin_pb2, event_pb2

POLL_S: Final = 1.0
"""How often --follow asks; the API has no stream of events."""

OVERLAP_S: Final = 10
"""How far --follow looks back: of brokers on one database, one may tell a little later."""

COLUMNS: Final = ("time", "kind", "about", "by", "replica", "message")
"""The replica is known where several share a database."""

app = new_app()


@command(
    app,
    "events",
    examples=(
        "keybroker events --since 1h",
        "keybroker events --follow --kind circuit_opened --kind provider_down",
        "keybroker events --since 2030-01-31T12:00:00Z --format json",
    ),
)
def events(
    session: Session,
    *,
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="Only this provider's.")
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only this kind; may be repeated."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="WHEN", help="Only from then on: 30m, 2h, 7d ago, or a time (UTC)."
        ),
    ] = "",
    limit: LIMIT = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")
    ] = False,
) -> None:
    """Show what happened, the latest last.

    As JSON the latest comes first, as the broker answers. With --follow every event is one line,
    also as JSON, and a broker that goes away for a while is waited for.
    """
    request = admin_pb2.ListEventsRequest(provider=provider, kinds=kind or ())
    if since:
        request.since.CopyFrom(read_moment(since, "--since"))
    if follow:
        for event in _followed(session, request, is_from_now=not since):
            _tell(session.out, event)
        return
    page = _read(session, request, limit)
    if session.out.is_json:
        session.out.json(page)
    elif page.events:
        _show(session.out, page)
        tell_of_more(page, limit)
    else:
        note("Nothing of that kind happened.")


def _show(out: Output, page: admin_pb2.ListEventsResponse) -> None:
    rows = [_row(event) for event in reversed(page.events)]
    replica = COLUMNS.index("replica")
    shown = [n for n in range(len(COLUMNS)) if n != replica or any(row[n] for row in rows)]
    out.table([COLUMNS[n] for n in shown], ([row[n] for n in shown] for row in rows))


def _read(
    session: Session, request: admin_pb2.ListEventsRequest, limit: int
) -> admin_pb2.ListEventsResponse:
    request.page_token = ""
    return read_pages(
        session, session.admin.ListEvents, request, limit, count=lambda page: len(page.events)
    )


def _followed(
    session: Session, request: admin_pb2.ListEventsRequest, *, is_from_now: bool
) -> Iterator[event_pb2.Event]:
    """Each event once, in their order, for ever."""
    seen: set[str] = set()
    begin = request.since.seconds
    if is_from_now:
        # From the newest one on: the broker's clock need not agree with this one.
        _mark(request, _read(session, request, 1), begin)
        seen = _mark(request, _read(session, request, 10_000), begin)
    is_away = None
    while True:
        try:
            page = _read(session, request, 10_000)
        except CommandError as error:
            # Away from the first call on is a wrong address; afterwards it is a restart.
            if error.code is not Exit.UNREACHABLE or is_away is None:
                raise
            if not is_away:
                note(f"{error.message}; waiting for it")
            is_away = True
        else:
            is_away = False
            for event in reversed(page.events):
                if event.event_id not in seen:
                    yield event
            seen = _mark(request, page, begin) or seen
        time.sleep(POLL_S)


def _mark(
    request: admin_pb2.ListEventsRequest, page: admin_pb2.ListEventsResponse, begin: int
) -> set[str]:
    """Ask from a little before the newest on, not before `begin`; returns what was seen by then."""
    if page.events and (newest := page.events[0].time.seconds - OVERLAP_S) > begin:
        request.since.FromSeconds(newest)
    return {event.event_id for event in page.events}


def _tell(out: Output, event: event_pb2.Event) -> None:
    if out.is_json:
        out.json_line(event)
    else:
        out.line("  ".join(text for text in _row(event) if text))


def _row(event: event_pb2.Event) -> tuple[str, ...]:
    about = event.key_id or upstream_name(event.provider, event.model)
    replica = event.attributes.get("replica", "")
    return (clock(event.time), event.kind, about, event.principal, replica, event.message)
