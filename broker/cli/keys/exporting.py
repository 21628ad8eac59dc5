"""`keybroker keys export`: tenants' keys as a file that can be imported."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command
from broker.cli.keys.group import PROVIDER, app
from broker.cli.output import note
from broker.cli.progress import Count, counted
from broker.cli.session import Session
from broker.cli.transfer.json_rows import write_json_line
from broker.cli.transfer.plaintext import Opener
from broker.cli.transfer.target import writing
from keybroker.v1 import admin_pb2

MAX_NAMED: Final = 20
"""Keys that do not open which are named; the others are counted."""


@command(
    app,
    "export",
    examples=(
        "keybroker keys export -o keys.jsonl",
        "keybroker keys export --tenant acme | gzip > acme.jsonl.gz",
        "keybroker keys export -o open.jsonl --plaintext --seal-key /var/lib/keybroker/seal.key",
    ),
    exits=(Exit.FAILED, Exit.NOT_FOUND, Exit.STORE),
)
def export_keys(
    session: Session,
    *,
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="TENANT", help="Only this tenant's.")
    ] = "",
    provider: PROVIDER = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write, for your eyes alone; - is standard output.  [default: standard"
            " output, unless that is a terminal]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    plaintext: Annotated[
        bool, typer.Option("--plaintext", help="Write secrets in the clear; needs --seal-key.")
    ] = False,
    seal_key: Annotated[
        Path | None,
        typer.Option(
            "--seal-key",
            metavar="FILE",
            help="The broker's file of sealing keys, to open secrets with on this machine.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Write tenants' keys as JSON lines, sealed as they are kept.

    'keybroker keys import' takes them again, also at another broker that has the sealing key. The
    broker gives out no plaintext: with --plaintext it is opened here, of each key the secret that
    its provider accepted last, and asks first. A file appears whole or not at all.
    """
    if plaintext != (seal_key is not None):
        message = "--plaintext and --seal-key go together: give both, or neither"
        raise CommandError(Exit.USAGE, message)
    file = _target(output, is_plain=plaintext, yes=yes)
    opener = Opener(seal_key) if seal_key is not None else None
    if plaintext and not yes:
        _confirm(file)
    with writing(file, force=force) as text:
        with counted("Exporting", session.out) as count:
            written = _write(text, _exported(session, provider, tenant, opener), count)
        if opener is not None and opener.unopened:
            raise CommandError(Exit.FAILED, _unopened(opener.unopened, file, written))
    done = f"{written} {'key' if written == 1 else 'keys'}"
    if file is None:
        note(f"Exported {done}.")
    elif session.out.is_json:
        session.out.json({"exported_count": written, "file": str(file)})
    else:
        session.out.line(f"Exported {done} to {file}.")


def _target(output: Path | None, *, is_plain: bool, yes: bool) -> Path | None:
    """The file to write; None is standard output. Raises CommandError."""
    if output is not None and str(output) != "-":
        return output
    is_wanted = yes if is_plain else output is not None
    if sys.stdout.isatty() and not is_wanted:
        how = "say --yes to have secrets on it" if is_plain else "say -o - to have it there"
        message = f"this would fill the terminal: name a file with -o, pipe it on, or {how}"
        raise CommandError(Exit.USAGE, message)
    return None


def _confirm(file: Path | None) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        message = "there is no terminal to ask at; say --yes to write secrets in the clear"
        raise CommandError(Exit.USAGE, message)
    where = file or "standard output"
    if not typer.confirm(f"Write tenants' secrets in the clear to {where}?", err=True):
        raise CommandError(Exit.FAILED, "nothing was written; answer y to write it")


def _exported(
    session: Session, provider: str, tenant: str, opener: Opener | None
) -> Iterator[Iterable[admin_pb2.ImportedKey]]:
    request = admin_pb2.ExportKeysRequest(provider=provider, tenant_id=tenant)
    for answer in session.stream(session.admin.ExportKeys, request):
        yield answer.keys if opener is None else opener.opened(answer.keys)


def _write(text: TextIO, parts: Iterable[Iterable[admin_pb2.ImportedKey]], count: Count) -> int:
    written = 0
    for keys in parts:
        for key in keys:
            text.write(write_json_line(key))
            written += 1
        count(written, written)
    return written


def _unopened(key_ids: list[str], file: Path | None, written: int) -> str:
    """What to say of keys that do not open; a file is not written then."""
    named = ", ".join(key_ids[:MAX_NAMED])
    more = len(key_ids) - MAX_NAMED
    what = f"{named}{f' and {more} more' if more > 0 else ''} do not open with --seal-key"
    end = f"nothing was written to {file}" if file else f"the other {written} were written"
    return f"{what}; {end}; export without --plaintext what another key sealed"
