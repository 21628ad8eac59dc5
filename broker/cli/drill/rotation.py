"""`keybroker drill rotation`: plays the stories, and reports what was measured."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated

import grpc
import httpx
import typer

from broker.adapters.aws import AwsCallError
from broker.cli.drill.extras import check_extras
from broker.cli.drill.figures import Finding
from broker.cli.drill.fleet import PASSWORD
from broker.cli.drill.group import app
from broker.cli.drill.plan import Plan
from broker.cli.drill.playing import RECORD, play
from broker.cli.drill.reckoning import STORIES, reckon
from broker.cli.drill.record import Record
from broker.cli.drill.report import as_json, as_markdown
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command
from broker.cli.output import Output, note
from broker.config.stores import check_database, is_postgres
from keybroker import KeybrokerError

RATE = Annotated[
    float, typer.Option("--rate", min=1.0, max=1000.0, metavar="CALLS", help="Calls a second.")
]
REPLICAS = Annotated[
    int, typer.Option("--replicas", min=1, max=8, metavar="N", help="How many brokers.")
]
SECONDS = Annotated[
    float,
    typer.Option(
        "--seconds", min=1.0, max=600.0, metavar="SECONDS", help="How long to look at each act."
    ),
]
STORY = Annotated[
    str, typer.Option("--story", metavar="LIST", help="Which stories, with commas between.")
]
OUT = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the report goes.")]
DATABASE = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="An empty PostgreSQL, instead of an own one."),
]
KEEP = Annotated[
    bool, typer.Option("--keep", help="Keep the record and all logs, and say where they are.")
]


@command(
    app,
    "rotation",
    examples=("keybroker drill rotation", "keybroker drill rotation --seconds 2 --story c"),
    exits=(Exit.FAILED, Exit.MISSED),
)
def rotation(
    out: Output,
    *,
    rate: RATE = 50.0,
    replicas: REPLICAS = 2,
    seconds: SECONDS = 10.0,
    story: STORY = "a,b,c",
    out_dir: OUT = Path("drill-report"),
    database: DATABASE = None,
    keep: KEEP = False,
) -> None:
    """Rotate a key under traffic, and measure what is promised.

    It starts brokers on a PostgreSQL of their own, a Secrets Manager and a simulated provider, and
    plays three stories. a: a bogus secret is pushed over a working one. b: the brokers restart
    one by one on a bogus secret. c: the key is revoked, and replaced a little later.

    The report, DATE-rotation.md with .json and .svg beside it, replaces an earlier one of the day.
    """
    check_extras()
    plan = Plan(rate, replicas, seconds, _stories(story))
    _check_database(database or "")
    _check_folder(out_dir)
    with _work_folder(keep=keep) as folder:
        record = _played(plan, folder, database or "")
        findings = reckon(record)
        shown = _command_line(plan, is_given=bool(database))
        report = _write(out_dir, record, findings, shown)
    if out.is_json:
        out.json(as_json(record, findings, shown))
    else:
        _summarise(out, findings, report)
    missed = [figure.label for finding in findings for figure in finding.missed]
    if missed:
        raise CommandError(Exit.MISSED, f"{len(missed)} promises missed: {'; '.join(missed)}")


def _played(plan: Plan, folder: Path, database: str) -> Record:
    note(f"Starting PostgreSQL, Secrets Manager, a provider and {plan.replicas} brokers …")
    try:
        asyncio.run(play(plan, folder, database))
    except asyncio.CancelledError:  # SIGTERM ends it as Ctrl-C does
        raise KeyboardInterrupt from None
    except (grpc.RpcError, httpx.HTTPError, KeybrokerError, AwsCallError) as error:
        message = f"the drill broke off, since one of its processes failed: {type(error).__name__}"
        raise CommandError(Exit.FAILED, message) from None
    return Record.read(folder / RECORD)


def _stories(text: str) -> tuple[str, ...]:
    """The stories, in their own order."""
    wanted = {name for part in text.lower().split(",") if (name := part.strip())}
    unknown = sorted(wanted - set(STORIES))
    if unknown or not wanted:
        message = f"--story: {', '.join(unknown) or 'nothing'} is none of {', '.join(STORIES)}"
        raise CommandError(Exit.USAGE, message)
    return tuple(name for name in STORIES if name in wanted)


def _check_database(url: str) -> None:
    """Raise CommandError unless it is a PostgreSQL, named without its password."""
    if not url:
        return
    try:
        check_database(url)
    except ValueError as error:
        raise CommandError(Exit.USAGE, f"--database: {error}") from None
    if not is_postgres(url):
        raise CommandError(Exit.USAGE, "--database: is no postgresql:// URL")
    if ":" in url.partition("://")[2].rpartition("@")[0]:
        message = f"--database: has a password, which any process can read; put it into {PASSWORD}"
        raise CommandError(Exit.USAGE, message)


def _check_folder(folder: Path) -> None:
    """Raise CommandError unless a report can be written there; better now than in the end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = f"--out: nothing can be written there ({error.strerror}); name another folder"
        raise CommandError(Exit.USAGE, message) from None


@contextmanager
def _work_folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="keybroker-drill-"))
    try:
        yield folder
    finally:
        if keep:
            note(f"The record and all logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _command_line(plan: Plan, *, is_given: bool) -> str:
    """What repeats the drill; where a database is, and who may use it, is nobody's business."""
    options = f"--rate {plan.rate:g} --replicas {plan.replicas} --seconds {plan.pace_s:g}"
    stories = "" if len(plan.stories) == len(STORIES) else f" --story {','.join(plan.stories)}"
    database = " --database URL" if is_given else ""
    return f"keybroker drill rotation {options}{stories}{database}"


def _write(folder: Path, record: Record, findings: Sequence[Finding], shown: str) -> Path:
    """Write the report; returns the part for people."""
    name = f"{record.setup.began[:10]}-rotation"
    # matplotlib takes a second to import, and is only here.
    import_module("broker.cli.drill.plot").draw(record, folder / f"{name}.svg")
    document = json.dumps(as_json(record, findings, shown), indent=2, ensure_ascii=False)
    (folder / f"{name}.json").write_text(document + "\n")
    report = folder / f"{name}.md"
    report.write_text(as_markdown(record, findings, shown, f"{name}.svg"))
    return report


def _summarise(out: Output, findings: Sequence[Finding], report: Path) -> None:
    for finding in findings:
        out.heading(f"{finding.story.upper()}. {STORIES[finding.story]}")
        rows = [
            (
                figure.label,
                figure.promised or "-",
                figure.shown,
                ("kept" if figure.is_kept else "MISSED") if figure.is_promised else "",
            )
            for figure in finding.figures
        ]
        out.table(("measured", "promised", "here", ""), rows)
    out.line("")
    out.line(f"The report is {report}")
