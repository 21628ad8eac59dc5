"""Runs the server: `python -m broker`."""

import asyncio
import os
import signal
import sys

import uvloop

from broker.adapters.structlog import configure_logging
from broker.app import App, build
from broker.catalog import CatalogError
from broker.config import Settings, SettingsError, load_settings
from broker.edge.listen import ListenError

EXIT_CANNOT_SERVE = 1
EXIT_WRONG_SETTINGS = 2


def main() -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends it at once."""
    try:
        settings = load_settings(os.environ)
    except (SettingsError, CatalogError) as error:
        print(f"keybroker: {len(error.faults)} wrong in the settings:", file=sys.stderr)
        print("\n".join(error.faults), file=sys.stderr)
        sys.exit(EXIT_WRONG_SETTINGS)
    as_json = None if settings.log_format == "auto" else settings.log_format == "json"
    configure_logging(settings.log_level, as_json=as_json)
    try:
        uvloop.run(_serve(settings))
    except ListenError as error:
        print(f"keybroker: {error}", file=sys.stderr)
        sys.exit(EXIT_CANNOT_SERVE)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    app = build(settings)
    await app.start()
    _greet(app, settings)
    await stop.wait()
    await app.stop()


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
    print(f"Keybroker serves gRPC on {host}:{app.grpc_port}", flush=True)
    if app.http_port:
        host = settings.http_listen.rpartition(":")[0]
        scheme = "https" if settings.has_tls else "http"
        print(f"and its status on {scheme}://{host}:{app.http_port}/status", flush=True)
    if not app.core.keyring.keys():
        print(
            "It has no keys yet: set OPENAI_API_KEY, ANTHROPIC_API_KEY and so on in the"
            f" environment or in {settings.env_file}.",
            flush=True,
        )


if __name__ == "__main__":
    main()
