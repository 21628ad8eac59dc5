"""`keybroker keys import`: many keys of tenants from a file, all or none."""

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from broker.cli.exits import CommandError, Exit
from broker.cli.faults import CallError
from broker.cli.framework import command
from broker.cli.keys.group import PROVIDER, app
from broker.cli.output import note
from broker.cli.progress import Count, counted
from broker.cli.secret_input import NO_SECRET
from broker.cli.session import Session
from broker.cli.transfer.csv_rows import Found
from broker.cli.transfer.files import Form, form_of, opened, read_keys, unreadable
from broker.cli.transfer.sending import Import
from keybroker.v1 import status_pb2

UNKNOWN_END: Final = (
    "all keys were sent, and whether they were created is not known: import the file again, which"
    " makes none a second time and tells of each that is there"
)

_NAMES: Final = (
    ("settings.limits.", ""),
    ("settings.expire_time", "expires_at"),
    ("settings.", ""),
)
"""What the broker calls a field, and what it is in a file."""


@command(
    app,
    "import",
    examples=(
        "keybroker keys import keys.csv --dry-run",
        "keybroker keys import keys.csv",
        "keybroker keys import acme.env --tenant acme",
        "keybroker keys export --address old:50051 | keybroker keys import -",
    ),
    exits=(Exit.STORE, Exit.FAILED),
)
def import_keys(
    session: Session,
    *,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="The file, - for standard input.", show_default=False),
    ],
    form: Annotated[
        Form,
        typer.Option("--from", help="What the file is; auto: by its name, else its first line."),
    ] = Form.AUTO,
    tenant: Annotated[
        str,
        typer.Option("--tenant", metavar="TENANT", help="The tenant that owns the keys."),
    ] = "",
    provider: PROVIDER = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, and create nothing.")
    ] = False,
    _no_secret: NO_SECRET = None,
) -> None:
    """Add many keys of tenants from a file: all of them, or none.

    CSV has a line of column names first: tenant_id, provider, secret, and as wanted key_id, models,
    weight, priority, concurrency, requests_per_minute, tokens_per_minute, account, expires_at and
    base_url. JSON lines have an object of the same names on each line; 'keybroker keys export'
    writes such. A .env file has the variables that the broker reads, such as OPENAI_API_KEY_1; it
    needs --tenant, which elsewhere fills in for rows without one. What is wrong is told with its
    line, up to 1000 times; then nothing was created.
    """
    job = Import(tenant=tenant, provider=provider, dry_run=dry_run)
    with opened(file) as opened_file:
        try:
            kind = form_of(file, opened_file) if form is Form.AUTO else form
            if kind is Form.ENV and not tenant:
                message = "a .env file names no tenant: say with --tenant whose keys these are"
                raise CommandError(Exit.USAGE, message)
            found = read_keys(kind, opened_file, _providers(session) if kind is Form.ENV else ())
            with counted("Importing", session.out) as count:
                _send(job, session, found, count)
        except OSError as error:
            if job.is_sent:
                raise
            raise unreadable(file, error) from None
    _answer(session, job, "standard input" if file == "-" else file)


def _providers(session: Session) -> list[str]:
    """The broker's providers, whose names may not be told from those of variables."""
    request = status_pb2.GetStatusRequest()
    status = session.call(session.status.GetStatus, request).status
    return [provider.provider for provider in status.providers]


def _send(job: Import, session: Session, found: Iterator[Found], count: Count) -> None:
    try:
        job.send(session, found, count)
    except KeyboardInterrupt:
        if job.is_sent:
            note(f"{UNKNOWN_END[:1].upper()}{UNKNOWN_END[1:]}.")
        raise
    except CallError as error:
        is_explained = bool(error.reason) and error.metadata.get("is_changed") != "unknown"
        is_unknown = job.is_sent and not job.dry_run and not is_explained
        end = UNKNOWN_END if is_unknown else "nothing was created"
        message = f"{error.message}; {end}"
        raise CallError(error.code, message, error.reason, error.metadata) from None


def _answer(session: Session, job: Import, name: str) -> None:
    """Say how it went; where something is wrong that ends the command."""
    faults = sorted(job.faults, key=lambda fault: fault.line)
    if session.out.is_json:
        session.out.json(
            {
                "created_count": job.created,
                "dry_run": job.dry_run,
                "faults": [{"line": f.line, "message": _in_file(f.message)} for f in faults],
                "untold_fault_count": job.untold,
            }
        )
    for fault in faults:
        note(f"{name}:{fault.line}: {_in_file(fault.message)}")
    if job.untold:
        note(f"… and {job.untold} more.")
    if faults:
        number = len(faults) + job.untold
        what = "one fault" if number == 1 else f"{number} faults"
        raise CommandError(Exit.USAGE, f"nothing was created: {what} in {name}, as told above")
    if not job.is_sent:
        whose = f" of {job.provider}" if job.provider else ""
        raise CommandError(Exit.USAGE, f"nothing was created: {name} holds no keys{whose}")
    if not session.out.is_json:
        done = "would be created; nothing was" if job.dry_run else "created"
        session.out.line(f"{job.created} {'key' if job.created == 1 else 'keys'} {done}.")


def _in_file(message: str) -> str:
    """The broker's words, with its field named as in the file."""
    for theirs, ours in _NAMES:
        if message.startswith(theirs):
            return ours + message.removeprefix(theirs)
    return message
