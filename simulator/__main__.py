"""`python -m simulator`: the simulator as a program, until SIGTERM or SIGINT."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from simulator.dialects import DIALECTS
from simulator.keyfile import KeyFileError, issue_keys
from simulator.server import Simulator


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Simulated LLM providers on loopback, with a control API under /_control/.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port; 0, the default, is any free one")
    parser.add_argument("--keys", type=Path, help="TOML file with the keys to issue")
    parser.add_argument("--seed", type=int, default=0, help="makes failure rates repeatable")
    return parser.parse_args(argv)


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Simulator.start(
        host=arguments.host, port=arguments.port, seed=arguments.seed
    ) as simulator:
        if arguments.keys:
            issue_keys(simulator, arguments.keys)
        lines = [f"{dialect} {simulator.base_url(dialect)}" for dialect in DIALECTS]
        sys.stdout.write("\n".join([*lines, f"control {simulator.control_url}"]) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; 1 when the port or the key file cannot be used."""
    try:
        asyncio.run(_serve(_arguments(argv)))
    except (KeyFileError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
