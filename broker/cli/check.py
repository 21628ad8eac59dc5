"""`keybroker check`: do the system keys work? For deploy pipelines, without a broker."""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from broker.adapters.structlog import configure_logging
from broker.app.checking import Checked, Checking, Reading
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_app
from broker.cli.output import Output, note
from broker.cli.probed import PROBE_COLUMNS, Require, judged
from broker.cli.progress import counted
from broker.cli.settings import server_variables, settings_or_exit
from broker.cli.times import span
from broker.config import Settings

app = new_app()


@command(
    app,
    "check",
    examples=(
        "keybroker check",
        "keybroker check --provider openai --require any --timeout 5",
        "keybroker check --format json | jq '.keys[] | .key_id, .result'",
    ),
    exits=(Exit.FAILED, Exit.NOT_FOUND, Exit.REJECTED, Exit.UNPROVED),
)
def check(
    out: Output,
    *,
    provider: Annotated[
        str, typer.Option("--provider", metavar="NAME", help="Only this provider's keys.")
    ] = "",
    require: Annotated[
        Require,
        typer.Option(
            "--require", help="all: no key may be rejected. any: one of each provider may not be."
        ),
    ] = Require.ALL,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.1,
            max=60,
            metavar="SECONDS",
            help="How long one probe may take.  [default: KEYBROKER_PROBE_TIMEOUT_SECONDS]",
        ),
    ] = None,
) -> None:
    """Test all system keys with calls that are free, without a running broker.

    Keys and settings are read where 'keybroker serve' reads them. Only rejected keys block: what
    is inconclusive (the network or the provider failed, or does not check) passes with a note,
    and exits with 10 only when no key at all was proved. Faults in the sources, and having no key,
    exit with 2.
    """
    settings = settings_or_exit(os.environ)
    if timeout is not None:
        settings = settings.model_copy(update={"probe_timeout_seconds": timeout})
    configure_logging("error")
    reading, done = asyncio.run(_check(settings, provider, out))
    for fault in reading.faults:
        note(f"{fault.place}: {fault.message}")
    _show(out, done, reading)
    if not done:
        whose = f"for {provider} " if provider else ""
        message = f"there are no keys {whose}to check: set {(provider or 'openai').upper()}_API_KEY"
        message += ", or name a keys file, or secrets in KEYBROKER_SECRETS_MANAGER"
        raise CommandError(Exit.USAGE, message)
    code = judged(((c.key.provider, c.probed.result.lower()) for c in done), require)
    if reading.faults and code is not Exit.REJECTED:
        count = len(reading.faults)
        faulty = "one fault" if count == 1 else f"{count} faults"
        message = f"{faulty} in the sources of keys, as told above; correct them"
        raise CommandError(Exit.USAGE, message)
    raise typer.Exit(code)


async def _check(settings: Settings, provider: str, out: Output) -> tuple[Reading, list[Checked]]:
    checking = Checking(settings, server_variables(os.environ))
    try:
        if provider and provider not in checking.providers:
            known = ", ".join(sorted(checking.providers))
            message = f"no provider is named {provider!r}: use one of {known}"
            raise CommandError(Exit.NOT_FOUND, message)
        reading = await checking.read()
        keys = [key for key in reading.keys if provider in {"", key.provider}]
        done: list[Checked] = []
        with counted("Probing", out) as count:
            async for checked in checking.probe(keys):
                done.append(checked)
                count(len(done), len(keys))
    finally:
        await checking.close()
    return reading, sorted(done, key=lambda c: (c.key.provider, c.key.key_id))


def _show(out: Output, done: Sequence[Checked], reading: Reading) -> None:
    if out.is_json:
        faults = [f"{fault.place}: {fault.message}" for fault in reading.faults]
        out.json({"keys": [_as_json(checked) for checked in done], "faults": faults})
    elif done:
        out.table(
            PROBE_COLUMNS,
            (
                (
                    c.key.key_id,
                    c.key.provider,
                    c.probed.result.lower(),
                    span(c.elapsed_s),
                    c.probed.detail,
                )
                for c in done
            ),
        )


def _as_json(checked: Checked) -> dict[str, Any]:
    """As ProbeKeys answers, but for counts and the revision, which only a broker can name."""
    return {
        "key_id": checked.key.key_id,
        "provider": checked.key.provider,
        "result": f"PROBE_RESULT_{checked.probed.result}",
        "detail": checked.probed.detail,
        "elapsed": f"{checked.elapsed_s:.3f}s",
    }
