"""`keybroker classify`: what provider answers mean, offline."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, BinaryIO, Final

import typer

from broker.catalog import CatalogError, load_catalog
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_app
from broker.cli.output import note
from broker.cli.settings import server_variables
from broker.config import SettingsError, configured_providers, load_settings
from broker.core.outcome import MAX_BODY_BYTES, Outcome
from broker.core.verdicts.dialect import Dialect
from broker.core.words import TransportError
from broker.services.classifying import Classified, Classifying
from broker.services.keyring import Keyring

MAX_TOLD: Final = 20

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""A longer line is refused, so that no input fills the memory."""

GENERIC: Final = "openai_compatible"
"""The dialect of whatever is not known: most gateways and providers speak it."""

app = new_app()


class LineError(Exception):
    """What is wrong with one line of the input."""


@command(
    app,
    "classify",
    examples=(
        "keybroker classify < answers.jsonl > verdicts.jsonl",
        "jq -c '.[]' answers.json | keybroker classify --explain",
    ),
)
def classify(
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the evidence, and why it is judged so.")
    ] = False,
    else_dialect: Annotated[
        str,
        typer.Option(
            "--else",
            metavar="DIALECT",
            help="The dialect of providers that are not known; '' refuses their lines.",
            show_default=True,
        ),
    ] = GENERIC,
) -> None:
    """Judge provider answers offline: JSON lines in, JSON lines out.

    \b
    Reads   {"id", "provider", "http_status", "headers", "body", "transport_error"}
    Writes  {"id", "kind", "scope", "retry_after_s", "rule"}

    The provider is a dialect of the catalogue, or one that the settings configure; others are told
    once each, and judged in the dialect of --else. Fields may be null or missing, if only one of
    http_status and transport_error is there; others are ignored. A bad line is told on standard
    error with its number, the rest goes on, and the command exits with 2 in the end.
    """  # noqa: D301 - the backspace keeps the help's lines as they are
    catalog = _catalog()
    dialects = _dialects(catalog)
    if else_dialect and else_dialect not in dialects:
        known = ", ".join(sorted(dialects))
        raise CommandError(Exit.USAGE, f"--else: {else_dialect!r} is none of {known}")
    if sys.stdin is None:
        raise CommandError(Exit.USAGE, "standard input is closed; pipe JSON lines into it")
    if sys.stdin.isatty():
        note("Reading JSON lines from the terminal; Ctrl-D ends them.")
    judge = Classifying(Keyring({}), catalog)
    bad = total = 0
    strangers: set[str] = set()
    for number, line in _lines(sys.stdin.buffer):
        total += 1
        try:
            row = _row(line)
            dialect = _dialect(row, dialects, else_dialect)
            found = judge.by_dialect(dialect, _outcome(row))
        except LineError as error:
            bad += 1
            note(f"line {number}: {error}")
        else:
            _tell_stranger(row["provider"], dialect, dialects, strangers)
            verdict = _written(row.get("id"), found) | (_explanation(found) if explain else {})
            sys.stdout.write(f"{json.dumps(verdict)}\n")
            sys.stdout.flush()
    if bad:
        message = f"{bad} of {total} lines could not be judged; correct what is told above"
        raise CommandError(Exit.USAGE, message)


def _catalog() -> Mapping[str, Dialect]:
    try:
        return load_catalog()
    except CatalogError as error:
        raise CommandError(Exit.FAILED, f"the catalogue is broken: {error.faults[0]}") from None


def _dialects(catalog: Mapping[str, Dialect]) -> Mapping[str, str]:
    """The dialects by their names, and by those of the providers that speak them."""
    names = {name: name for name in catalog}
    try:
        settings = load_settings(server_variables(os.environ))
    except SettingsError:
        note("The settings are wrong, so only dialects are known: see 'keybroker config check'.")
        return names
    configured = configured_providers(settings, catalog)
    return names | {name: provider.dialect.name for name, provider in configured.items()}


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; of too long ones the beginning."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        rest = line
        while not rest.endswith(b"\n") and (rest := stream.readline(MAX_LINE_BYTES)):
            pass
        if line.strip():
            yield number, line


def _dialect(row: Mapping[str, Any], dialects: Mapping[str, str], else_dialect: str) -> str:
    """The dialect that the line's provider speaks; raises LineError."""
    name = row.get("provider")
    if not isinstance(name, str):
        raise LineError("has no provider; name a dialect or a configured provider")
    dialect = dialects.get(name) or dialects.get(else_dialect)
    if dialect is None:
        known = ", ".join(sorted(dialects))
        problem = "is neither a dialect nor a configured provider"
        raise LineError(f"{name[:80]!r} {problem}; use one of {known}, or --else")
    return dialect


def _tell_stranger(
    provider: str, dialect: str, dialects: Mapping[str, str], told: set[str]
) -> None:
    """Say once of a provider that it is not known, as far as there are not too many of them."""
    if provider not in dialects and provider not in told and len(told) < MAX_TOLD:
        told.add(provider)
        note(f"{provider[:80]!r} is no known provider: judged as {dialect}")


def _written(row_id: object, found: Classified) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "id": row_id,
        "kind": verdict.kind.value,
        "scope": verdict.scope.value,
        "retry_after_s": verdict.retry_hint_s,
        "rule": verdict.rule,
    }


def _explanation(found: Classified) -> dict[str, Any]:
    return {
        "evidence": found.verdict.evidence.value,
        "dialect": found.dialect,
        "explanation": found.explanation,
    }


def _row(line: bytes) -> dict[str, Any]:
    if len(line) >= MAX_LINE_BYTES:
        raise LineError(f"is longer than {MAX_LINE_BYTES} bytes; cut its body")
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise LineError(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise LineError("is not JSON in UTF-8 that anybody means") from None
    if not isinstance(row, dict):
        raise LineError("is no JSON object; write {...}")
    return row


def _outcome(row: Mapping[str, Any]) -> Outcome:
    status, transport = row.get("http_status"), row.get("transport_error")
    if isinstance(status, bool) or not isinstance(status, int | None):
        raise LineError("http_status is no number")
    if status is not None and not 100 <= status <= 999:
        raise LineError("http_status is no HTTP status: 100 to 999")
    if not isinstance(transport, str | None):
        raise LineError("transport_error is no text")
    if status is None and not transport:
        raise LineError("has neither http_status nor transport_error; give one of them")
    body = _body(row.get("body"))
    return Outcome(
        http_status=status,
        headers=_headers(row.get("headers")),
        body=body[:MAX_BODY_BYTES],
        truncated=len(body) > MAX_BODY_BYTES,
        transport_error=_transport_error(transport) if transport else None,
    )


def _headers(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(
        isinstance(value, str | int | float) for value in given.values()
    ):
        raise LineError("headers are no object of texts")
    return {name.lower(): str(value) for name, value in given.items()}


def _body(given: object) -> bytes:
    """A text as UTF-8; a JSON value as its text, since that is what was meant."""
    if given is None:
        return b""
    text = given if isinstance(given, str) else json.dumps(given)
    return text.encode("utf-8", "replace")


def _transport_error(text: str) -> TransportError:
    """The error of this name, with or without the proto's prefix; else some error below HTTP."""
    name = text.upper().removeprefix("TRANSPORT_ERROR_")
    return TransportError(name) if name in TransportError.__members__ else TransportError.OTHER
