"""The HTTP server, in the event loop of everything else."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from broker.edge.listen import Address

CLOSE_S = 1
"""How long open requests may take when the server closes."""


class _Quiet(uvicorn.Server):
    """Leaves signals to the program: they mean a drain, not an end."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


class HttpServer:
    """Serves until it is closed."""

    def __init__(self, app: Starlette, tls: tuple[Path, Path] | None = None) -> None:
        cert, key = tls or (None, None)
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            ssl_certfile=cert,
            ssl_keyfile=key,
            timeout_graceful_shutdown=CLOSE_S,
        )
        self.port = 0
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, address: Address, setting: str) -> None:
        """Listen; raises ListenError."""
        listening = address.bind(setting)
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([listening]))

    async def close(self) -> None:
        """Finish open requests and end."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None
