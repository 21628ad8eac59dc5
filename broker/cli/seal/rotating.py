"""`keybroker seal rotate` and `drop`."""

import sys
from typing import Annotated, Final

import typer

from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command
from broker.cli.output import note
from broker.cli.progress import counted
from broker.cli.seal.group import app, secrets, show_unreadable
from broker.cli.session import Session
from keybroker.v1 import admin_pb2

DROP_S: Final = 600.0
"""How long forgetting may take: it goes on where nobody waits for it."""


@command(
    app,
    "rotate",
    examples=(
        "keybroker seal rotate",
        "keybroker seal rotate --to 0a1b2c3d4e5f6071",
        "keybroker seal rotate --to kms/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
    exits=(Exit.FAILED, Exit.REFUSED, Exit.STORE),
)
def rotate(
    session: Session,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="SEALING_KEY",
            help="The key to seal with.  [default: go on with a rotation that was broken off, else"
            " a new key]",
        ),
    ] = "",
) -> None:
    """Seal everything anew with another sealing key.

    The broker serves meanwhile. A new key is made in the key file of a broker that has its database
    for itself; where brokers share one, 'keybroker seal add' makes it, and every broker needs the
    file before. Broken off anywhere it goes on when called again. Keep the old key until no backup
    needs it. As JSON each message is a line. Exits with 1 where something could not be opened, and
    was left as it is.
    """
    rows: list[admin_pb2.SealedRow] = []
    last = admin_pb2.RotateSealResponse()
    request = admin_pb2.RotateSealRequest(key_id=to)
    with counted("Sealing anew", session.out) as count:
        for last in session.stream(session.admin.RotateSeal, request):
            count(last.done_count, max(last.total_count, last.done_count))
            rows += last.unreadable
            if session.out.is_json:
                session.out.json_line(last)
    if not session.out.is_json:
        anew = f"{secrets(last.done_count)} sealed anew with it"
        session.out.line(f"Sealing key {last.key_id} seals now; {anew}.")
        note("Back the key file up now. Keep the old key as long as a backup needs it.")
    show_unreadable(session.out, rows)
    if rows:
        message = (
            f"{secrets(len(rows))} could not be opened, and stay as they are: rotate or delete"
            " these keys, unless 'keybroker seal status' shows that a sealing key is not at hand"
        )
        raise CommandError(Exit.FAILED, message)


@command(
    app,
    "drop",
    examples=(
        "keybroker seal drop 0a1b2c3d4e5f6071",
        "keybroker seal drop 0a1b2c3d4e5f6071 --yes",
    ),
    exits=(Exit.FAILED, Exit.STORE),
)
def drop(
    session: Session,
    key_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="SEALING_KEY", help="The lost keys, all that 'keybroker seal status' shows."
        ),
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget what is sealed with keys that are lost for good.

    Tenants' keys that nothing opens any more are deleted; their policies stay, so that no tenant
    is served by other keys because of it. At a terminal it asks first. A broker that was sealed
    goes on without a restart.
    """
    if not yes:
        _confirm(session, key_ids)
    session.timeout_s = max(session.timeout_s, DROP_S)
    request = admin_pb2.DropSealedRequest(sealing_key_ids=key_ids)
    answer = session.call(session.admin.DropSealed, request)
    if session.out.is_json:
        session.out.json(answer)
    else:
        session.out.line(f"Forgot {secrets(answer.dropped_count)}.")


def _confirm(session: Session, key_ids: list[str]) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        message = "there is no terminal to ask at; say --yes to forget without being asked"
        raise CommandError(Exit.USAGE, message)
    keys = session.call(session.admin.GetSeal, admin_pb2.GetSealRequest()).keys
    count = sum(key.row_count for key in keys if key.key_id in key_ids and not key.at_hand)
    if not typer.confirm(f"Forget {count} sealed secrets for good?", err=True):
        raise CommandError(Exit.FAILED, "nothing was forgotten; answer y to forget them")
