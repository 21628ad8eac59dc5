"""`keybroker serve`: runs the broker."""

import asyncio
import gc
import os
import signal
from contextlib import suppress
from pathlib import Path

import structlog
import typer
import uvloop

from broker.adapters.structlog import configure_logging
from broker.app import App, build
from broker.app.errors import StartError
from broker.cli.exits import CommandError, Exit
from broker.cli.framework import command, new_app
from broker.cli.settings import settings_or_exit
from broker.config import Settings
from broker.edge.listen import ListenError

app = new_app()
log = structlog.get_logger("keybroker")


@command(
    app,
    "serve",
    examples=("keybroker serve", "KEYBROKER_ENV_FILE=/etc/keybroker.env keybroker serve"),
    exits=(Exit.FAILED, Exit.CANNOT_START),
)
def serve() -> None:
    """Run the broker until SIGTERM or Ctrl-C; a second signal ends it at once.

    Settings and keys come from the environment and the .env file: 'keybroker config print' shows
    them all. Calls under way may finish before it ends. It exits with 1 when it cannot listen.
    """
    settings = settings_or_exit(os.environ)
    as_json = None if settings.log_format == "auto" else settings.log_format == "json"
    configure_logging(settings.log_level, as_json=as_json)
    try:
        uvloop.run(_serve(settings))
    except ListenError as error:
        raise CommandError(Exit.FAILED, str(error)) from None
    except StartError as error:
        raise CommandError(Exit.CANNOT_START, str(error)) from None
    except Exception:
        log.exception("crashed")
        message = "a bug in the broker ended it: please report it with the log above"
        raise CommandError(Exit.FAILED, message) from None


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    app = await build(settings)
    await app.start()
    _calm_collector()
    with suppress(OSError):  # it serves also where nobody can read that
        _greet(app, settings)
    await stop.wait()
    await app.stop()


def _calm_collector() -> None:
    """Have cycles looked for seldom: each full look stops all calls for as long as it takes.

    Almost nothing here is a cycle, and what is there from the start never becomes one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, on_signal)


def _greet(app: App, settings: Settings) -> None:
    """Say where it listens, and what is missing for it to be of use."""
    host = settings.grpc_listen.rpartition(":")[0]
    typer.echo(f"Keybroker serves gRPC on {host}:{app.grpc_port}")
    if app.http_port:
        host = settings.http_listen.rpartition(":")[0]
        scheme = "https" if settings.has_tls else "http"
        typer.echo(f"and its status on {scheme}://{host}:{app.http_port}/status")
    if not app.core.keyring.keys():
        has_file = settings.env_file != Path(os.devnull)
        typer.echo(
            "It has no keys yet: set OPENAI_API_KEY, ANTHROPIC_API_KEY and so on in the environment"
            f"{f' or in {settings.env_file}' if has_file else ''}."
        )
