"""The group of commands, and what they share."""

from typing import Final

from broker.cli.framework import new_group
from broker.cli.output import Output, note
from keybroker.v1 import admin_pb2

app = new_group("Look after the keys that seal what the database keeps.")

ORDER: Final = ("status", "verify", "rotate", "drop", "init", "add", "show")

ROW_COLUMNS: Final = ("key", "tenant", "provider", "revision", "sealed by", "kept in")


def in_order() -> None:
    """Show the commands in ORDER, whichever module was imported first."""
    app.registered_commands.sort(key=lambda command: ORDER.index(command.name or ""))


def show_unreadable(out: Output, rows: list[admin_pb2.SealedRow]) -> None:
    """Name what does not open, at the end of a command that is not in JSON."""
    if not rows or out.is_json:
        return
    note("These do not open:")
    out.table(
        ROW_COLUMNS,
        (
            (r.key_id, r.tenant_id or "–", r.provider, r.revision, r.sealed_by, r.table)
            for r in rows
        ),
    )


def secrets(count: int) -> str:
    """So many secrets, in words."""
    return "1 secret" if count == 1 else f"{count} secrets"
