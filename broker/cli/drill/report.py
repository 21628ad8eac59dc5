"""The report of a drill, for people in Markdown and for programs in JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from broker.cli.drill.figures import Figure, Finding
from broker.cli.drill.reckoning import BOGUS, DEAD, GOOD, STORIES
from broker.cli.drill.record import Deed, Record, Told, What

VERSION: Final = 1

TOLD: Final = frozenset(
    {
        "circuit_opened",
        "circuit_reopened",
        "emergency_began",
        "emergency_ended",
        "incident_closed",
        "incident_opened",
        "provider_down",
        "provider_recovered",
        "revision_adopted",
        "revision_drained",
        "revision_rejected",
        "revision_restored",
        "revision_unproved",
        "source_faulty",
        "source_mended",
    }
)
"""The kinds of events that the timeline shows."""

_DONE: Final = {
    (What.PUT, BOGUS): "a bogus secret is put into Secrets Manager",
    (What.PUT, GOOD): "a good secret is put into Secrets Manager",
    (What.REVOKE, DEAD): "the provider rejects the key from now on",
}

_ACCOUNT: Final = (
    "In the field’s account of this drill, a key that was revoked at the provider went unnoticed"
    " for 86 s, and callers were without a key for about 4 minutes."
)


def as_json(record: Record, findings: Sequence[Finding], command: str) -> dict[str, Any]:
    """The report for programs."""
    return {
        "version": VERSION,
        "began": record.setup.began,
        "command": command,
        "environment": dict(record.setup.environment),
        "kept": all(finding.is_kept for finding in findings),
        "stories": [
            {
                "story": finding.story,
                "title": STORIES[finding.story],
                "kept": finding.is_kept,
                "began_s": round(finding.at, 3),
                "ended_s": round(finding.until, 3),
                "figures": {figure.name: figure.as_json() for figure in finding.figures},
                "calls": {
                    group: {
                        "asked": counts.asked,
                        "served": counts.served,
                        "denied": counts.denied,
                        "failed": counts.failed,
                        "broken": counts.broken,
                    }
                    for group, counts in finding.counts.items()
                },
            }
            for finding in findings
        ],
        "timeline": [
            {"at_s": round(at, 3), "what": what, "text": text}
            for at, what, text in timeline(record)
        ],
    }


def as_markdown(record: Record, findings: Sequence[Finding], command: str, plot: str) -> str:
    """The report for people; `plot` is the file of the picture."""
    return "\n".join(_lines(record, findings, command, plot)) + "\n"


def timeline(record: Record) -> list[tuple[float, str, str]]:
    """What was done and what the brokers told of it: when, of what kind, in words."""
    done = [(deed.at, "drill", _deed(deed)) for deed in record.deeds]
    told = [(each.at, each.kind, each.message) for each in record.told if _is_shown(each)]
    return sorted([*done, *told])


def _is_shown(told: Told) -> bool:
    return told.kind in TOLD and told.at >= 0


def _deed(deed: Deed) -> str:
    if deed.what is What.STORY:
        return f"story {deed.story.upper()} begins"
    if deed.what is What.RESTART:
        return f"{deed.replica} is restarted; ready again after {deed.until - deed.at:.1f} s"
    text = _DONE[deed.what, deed.secret]
    return f"{text} (revision {deed.revision})"


def _lines(record: Record, findings: Sequence[Finding], command: str, plot: str) -> Iterator[str]:
    missed = sum(len(finding.missed) for finding in findings)
    promised = sum(figure.is_promised for finding in findings for figure in finding.figures)
    yield f"# Rotation drill of {record.setup.began[:10]}"
    yield ""
    yield (
        f"**{promised - missed} of {promised} promises kept.** {_ACCOUNT}"
        " Below is what happened here, computed from a record of every call and from the brokers’"
        " events."
    )
    yield from ("", f"![Calls a second, and the key’s revisions]({plot})", "")
    yield from _elsewhere(findings)
    for finding in findings:
        yield from _story(finding)
    yield from ("## What happened when", "")
    rows = [(f"{at:.2f} s", what, text) for at, what, text in timeline(record)]
    yield from _table(("at", "what", ""), rows)
    yield from ("", "## How it was made", "", "```console", f"$ {command}", "```", "")
    yield from _table(("", ""), record.setup.environment.items())


def _elsewhere(findings: Sequence[Finding]) -> Iterator[str]:
    """The figures that the field's account tells too."""
    rows = [
        (figure.label, figure.elsewhere, figure.shown)
        for finding in findings
        for figure in finding.figures
        if figure.elsewhere
    ]
    if rows:
        yield from _table(("", "in the field’s account", "here"), rows)
        yield ""


def _story(finding: Finding) -> Iterator[str]:
    verdict = "kept" if finding.is_kept else "MISSED"
    yield from (f"## {finding.story.upper()}. {STORIES[finding.story]}: {verdict}", "")
    yield from _table(
        ("measured", "promised", "here", ""), [_row(figure) for figure in finding.figures]
    )
    yield ""
    rows = [
        (group, *map(str, (c.asked, c.served, c.denied, c.failed, c.broken)))
        for group, c in finding.counts.items()
    ]
    heads = ("calls of", "asked", "served", "denied", "failed at the provider", "failed otherwise")
    yield from _table(heads, rows)
    yield ""


def _row(figure: Figure) -> tuple[str, str, str, str]:
    kept = ("✓" if figure.is_kept else "✗") if figure.is_promised else ""
    return figure.label, figure.promised or "–", figure.shown, kept


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(_cell(text) for text in row)} |"


def _cell(text: str) -> str:
    """Text that stays in its cell, and is text."""
    for mark in "\\|`*_<[":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
