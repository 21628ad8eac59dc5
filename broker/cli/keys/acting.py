"""`keybroker keys disable`, `enable` and `probe`."""

from typing import Annotated

import typer

from broker.cli.exits import Exit
from broker.cli.framework import command
from broker.cli.keys.group import KEY_ID, PROVIDER, REASON, app
from broker.cli.keys.rendering import show_or_print
from broker.cli.output import note
from broker.cli.probed import PROBE_COLUMNS, judged
from broker.cli.progress import counted
from broker.cli.session import Session
from broker.cli.times import span_of
from broker.cli.words import word
from keybroker.v1 import admin_pb2


@command(
    app,
    "disable",
    examples=("keybroker keys disable openai/default --reason 'leaked on a screenshot'",),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def disable(session: Session, key_id: KEY_ID, reason: REASON = "") -> None:
    """Take a key out of use.

    Its leases end. Only 'keybroker keys enable' undoes it; neither time nor a probe nor
    rotation does. Doing it again changes nothing.
    """
    request = admin_pb2.DisableKeyRequest(key_id=key_id, reason=reason)
    key = session.call(session.admin.DisableKey, request).key
    show_or_print(session.out, key, f"{key.key_id} is disabled.")


@command(
    app,
    "enable",
    examples=("keybroker keys enable openai/default",),
    exits=(Exit.NOT_FOUND, Exit.STORE),
)
def enable(session: Session, key_id: KEY_ID) -> None:
    """Let a disabled key be used again.

    Circuits over it stay as they are.
    """
    request = admin_pb2.EnableKeyRequest(key_id=key_id)
    key = session.call(session.admin.EnableKey, request).key
    show_or_print(session.out, key, f"{key.key_id} is enabled.")


@command(
    app,
    "probe",
    examples=(
        "keybroker keys probe",
        "keybroker keys probe openai/default",
        "keybroker keys probe --provider openai --format json",
    ),
    exits=(Exit.NOT_FOUND, Exit.REJECTED, Exit.UNPROVED),
)
def probe(
    session: Session,
    key_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY_ID", help="The keys; without any, all system keys."),
    ] = None,
    provider: PROVIDER = "",
) -> None:
    """Have the broker test keys now, by free calls.

    What is found acts as any probe does: it heals and quarantines. A tenant's key is tested when
    it is named. As JSON each key is one line, as soon as it is done. Exits as 'keybroker check'
    does.
    """
    request = admin_pb2.ProbeKeysRequest(provider=provider, key_ids=key_ids or ())
    done = []
    with counted("Probing", session.out) as count:
        for answer in session.stream(session.admin.ProbeKeys, request):
            done.append(answer)
            count(answer.done_count, answer.total_count)
            if session.out.is_json:
                session.out.json_line(answer)
    if not done:
        note("There are no such keys.")
        return
    if not session.out.is_json:
        session.out.table(
            PROBE_COLUMNS,
            (
                (d.key_id, d.provider, word(d, "result"), span_of(d.elapsed), d.detail)
                for d in sorted(done, key=lambda d: (d.provider, d.key_id))
            ),
        )
    raise typer.Exit(judged((d.provider, word(d, "result")) for d in done))
