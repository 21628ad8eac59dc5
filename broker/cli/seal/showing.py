"""`keybroker seal status` and `verify`."""

import typer

from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command
from broker.cli.progress import counted
from broker.cli.seal.group import app, secrets, show_unreadable
from broker.cli.session import Session
from broker.cli.words import word
from keybroker.v1 import admin_pb2, status_pb2


@command(
    app,
    "status",
    examples=(
        "keybroker seal status",
        "keybroker seal status --format json | jq -r '.keys[] | select(.at_hand | not).key_id'",
    ),
    exits=(Exit.STORE,),
)
def status(session: Session) -> None:
    """Show the sealing keys, and how much each of them sealed.

    A key without rows that seals nothing can be taken out of its file, once no backup needs it.
    """
    seal = session.call(session.admin.GetSeal, admin_pb2.GetSealRequest())
    if session.out.is_json:
        session.out.json(seal)
    else:
        session.out.fields((("secrets", word(seal.seal, "state")), ("trouble", seal.seal.fault)))
        session.out.heading("Sealing keys")
        session.out.table(
            ("key", "seals", "at hand", "rows", "missing at"),
            (
                (
                    key.key_id,
                    "yes" if key.key_id == seal.current_key_id else "",
                    "yes" if key.at_hand else "no",
                    str(key.row_count),
                    ", ".join(key.missing_at),
                )
                for key in seal.keys
            ),
        )
    if seal.seal.state == status_pb2.SEAL_STATE_SEALED:
        raise typer.Exit(Exit.STORE)


@command(
    app,
    "verify",
    examples=("keybroker seal verify", "keybroker seal verify --format json | tail -n 1"),
    exits=(Exit.FAILED, Exit.STORE),
)
def verify(session: Session) -> None:
    """Open everything that is sealed, and name what does not open.

    Nothing is changed and no secret shown. As JSON each message is a line, the last one is done.
    Exits with 1 where anything does not open.
    """
    rows: list[admin_pb2.SealedRow] = []
    last = admin_pb2.VerifySealResponse()
    with counted("Opening", session.out) as count:
        for last in session.stream(session.admin.VerifySeal, admin_pb2.VerifySealRequest()):
            count(last.done_count, last.total_count)
            rows += last.unreadable
            if session.out.is_json:
                session.out.json_line(last)
    show_unreadable(session.out, rows)
    if rows:
        message = (
            f"{secrets(len(rows))} could not be opened: rotate or delete these keys, unless"
            " 'keybroker seal status' shows that a sealing key is not at hand"
        )
        raise CommandError(Exit.FAILED, message)
    if not session.out.is_json:
        session.out.line(f"Everything opens: {secrets(last.done_count)}.")
