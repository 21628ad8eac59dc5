"""A running broker: what it starts, what it does every second, how it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import structlog

from broker.app.core import Core
from broker.app.errors import StartError
from broker.app.stores import Stores
from broker.config import Settings
from broker.config.forms import parse_address
from broker.config.settings import variable
from broker.config.stores import MEMORY
from broker.edge.grpc.server import GrpcServer
from broker.edge.http.server import HttpServer
from broker.ports.errors import StoreUnavailableError, StoreUnusableError
from broker.services.standing import Standings

TICK_S = 1.0

log = structlog.get_logger("keybroker")


class App:
    """One replica with its servers; started once, stopped once."""

    def __init__(
        self,
        settings: Settings,
        core: Core,
        grpc_server: GrpcServer,
        http_server: HttpServer | None,
        stores: Stores,
    ) -> None:
        self.core = core
        self.grpc_server = grpc_server
        self.http_server = http_server
        self.is_serving = False
        self._settings = settings
        self._stores = stores
        self._loops: list[asyncio.Task[None]] = []

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Why it takes no calls yet, or no more, one sentence each; empty when it does."""
        if not self.is_serving:
            return ("starting or draining",)
        return self.core.lookout.boot.reasons

    @property
    def grpc_port(self) -> int:
        """Where gRPC listens."""
        return self.grpc_server.port

    @property
    def http_port(self) -> int:
        """Where HTTP listens; 0 when it does not."""
        return self.http_server.port if self.http_server else 0

    async def start(self) -> None:
        """Read the keys and serve; raises StartError and ListenError, and leaves nothing behind."""
        core, settings = self.core, self._settings
        try:
            await self._recall()
            await core.seal.watch.begin()
            await core.refreshing.refresh()
            self._loops = [asyncio.create_task(self._keep_probing())]
            await core.deciding.wait()
            self._warn()
            self._stores.hurry()
            await self._show_health()
            await self.grpc_server.start(
                parse_address(settings.grpc_listen), variable("grpc_listen")
            )
            if self.http_server is not None:
                await self.http_server.start(
                    parse_address(settings.http_listen), variable("http_listen")
                )
        except BaseException:
            await self.stop()
            raise
        self._loops += [
            asyncio.create_task(core.lookout.boot.probe_all()),
            *(asyncio.create_task(self._every_tick(work)) for work in self._work()),
        ]
        self.is_serving = True
        log.info("serving", replica=core.world.replica, grpc=self.grpc_port, http=self.http_port)

    async def stop(self) -> None:
        """Drain: calls under way finish, every handler runs to its end, then all else ends."""
        is_draining, self.is_serving = self.is_serving, False
        if is_draining:
            log.info("draining", seconds=self._settings.drain_seconds)
        await self.grpc_server.drain(self._settings.drain_seconds if is_draining else 0.0)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        core = self.core
        async with AsyncExitStack() as last_first:  # whatever fails, the others end all the same
            last_first.push_async_callback(self._stores.close)
            last_first.push_async_callback(core.following.close)
            last_first.push_async_callback(core.rotating.close)
            last_first.push_async_callback(core.health.close)
            last_first.push_async_callback(core.world.prober.close)
            last_first.push_async_callback(core.probing.close)
            if core.attending is not None:
                last_first.push_async_callback(core.attending.close)
            last_first.push_async_callback(core.refreshing.close)
            if self.http_server is not None:
                last_first.push_async_callback(self.http_server.close)
        if is_draining:
            log.info("stopped", replica=self.core.world.replica)

    async def _recall(self) -> None:
        """Know again what was known when the last process ended."""
        try:
            await self.core.following.start()
            await self.core.health.follow()
            if self.core.attending is not None:
                await self.core.attending.say()
        except (StoreUnavailableError, StoreUnusableError) as error:
            raise StartError(f"what the database holds cannot be used: {error}") from None

    def _work(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """What is done every second, each for itself: some of it waits for others."""
        yield from (self._keep_house, self._refresh, self._look_out, self._keep_calendar)
        yield self.core.seal.watch.on_tick
        if self.core.attending is not None:
            yield self.core.attending.on_tick

    async def _every_tick(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do work every second; what fails once is logged and done again."""
        while True:
            await self.core.world.clock.sleep(TICK_S)
            try:
                await work()
            except Exception:
                log.exception("tick_failed", work=getattr(work, "__name__", ""))

    async def _keep_probing(self) -> None:
        """Probe for ever: without probes no quarantine would end."""
        while True:
            try:
                await self.core.probing.run(TICK_S)
            except Exception:
                log.exception("tick_failed", work="probing")
            await self.core.world.clock.sleep(TICK_S)

    async def _keep_house(self) -> None:
        core = self.core
        now = core.world.clock.now()
        core.health.sweep(now)
        core.health.append_pending()
        core.watching.on_tick(now)
        await core.following.on_tick()
        await core.ending.sweep()
        await core.health.submit(core.upstreams.publish(now))
        await self._show_health()

    async def _refresh(self) -> None:
        await self.core.refreshing.on_tick()

    async def _look_out(self) -> None:
        lookout = self.core.lookout
        await lookout.on_tick(self.core.world.clock.now())
        await self.grpc_server.health.show_ready(is_ready=lookout.boot.is_ready)

    async def _keep_calendar(self) -> None:
        await self.core.lookout.on_calendar(self.core.world.clock.now())

    async def _show_health(self) -> None:
        core = self.core
        await self.grpc_server.health.show_ready(is_ready=core.lookout.boot.is_ready)
        standings = Standings(core.keyring, core.health, core.marks, core.world.clock.now())
        await self.grpc_server.health.show_providers(
            {
                name: any(standings.is_runnable(key) for key in core.keyring.keys(name))
                for name in core.keyring.providers
            }
        )

    def _warn(self) -> None:
        """Say what an operator may not expect."""
        if self._settings.database == MEMORY:
            hint = "health, keys of tenants and leases do not survive a restart"
            log.warning("nothing_is_kept", database=MEMORY, hint=hint)
