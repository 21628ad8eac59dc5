"""A running broker: what it starts, what it does every second, how it ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from broker.app.core import Core
from broker.config import Settings
from broker.config.forms import parse_address
from broker.config.settings import variable
from broker.edge.grpc.server import GrpcServer
from broker.edge.http.server import HttpServer
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
    ) -> None:
        self.core = core
        self.grpc_server = grpc_server
        self.http_server = http_server
        self.is_ready = False
        self._settings = settings
        self._loops: list[asyncio.Task[None]] = []

    @property
    def grpc_port(self) -> int:
        """Where gRPC listens."""
        return self.grpc_server.port

    @property
    def http_port(self) -> int:
        """Where HTTP listens; 0 when it does not."""
        return self.http_server.port if self.http_server else 0

    async def start(self) -> None:
        """Read the keys and serve; raises ListenError and leaves nothing behind."""
        core, settings = self.core, self._settings
        await core.marks.load()
        core.health.follow()
        await core.refreshing.refresh()
        self._warn()
        try:
            await self.grpc_server.start(
                parse_address(settings.grpc_listen), variable("grpc_listen")
            )
            if self.http_server is not None:
                await self.http_server.start(
                    parse_address(settings.http_listen), variable("http_listen")
                )
            await self._show_providers()
        except BaseException:
            await self.stop()
            raise
        self._loops = [
            asyncio.create_task(self._keep_probing()),
            asyncio.create_task(self._every_tick(self._keep_house)),
            asyncio.create_task(self._every_tick(self._refresh)),
        ]
        if settings.boot_probe == "report":
            self._loops.append(asyncio.create_task(self._probe_all()))
        self.is_ready = True
        log.info("serving", replica=core.world.replica, grpc=self.grpc_port, http=self.http_port)

    async def stop(self) -> None:
        """Drain: calls under way finish, every handler runs to its end, then all else ends."""
        is_draining, self.is_ready = self.is_ready, False
        if is_draining:
            log.info("draining", seconds=self._settings.drain_seconds)
        await self.grpc_server.drain(self._settings.drain_seconds if is_draining else 0.0)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self.http_server is not None:
            await self.http_server.close()
        await self.core.probing.close()
        await self.core.world.prober.close()
        await self.core.health.close()
        if is_draining:
            log.info("stopped", replica=self.core.world.replica)

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
        await core.ending.sweep()
        await core.health.submit(core.upstreams.publish(now))
        await self._show_providers()

    async def _refresh(self) -> None:
        await self.core.refreshing.refresh()

    async def _show_providers(self) -> None:
        core = self.core
        standings = Standings(core.keyring, core.health, core.marks, core.world.clock.now())
        await self.grpc_server.health.show_providers(
            {
                name: any(standings.is_runnable(key) for key in core.keyring.keys(name))
                for name in core.keyring.providers
            }
        )

    async def _probe_all(self) -> None:
        """Say at the start which keys work; nothing waits for it."""
        results: Counter[str] = Counter()
        async for done in self.core.probing.probe_now(self.core.keyring.keys()):
            results[done.probed.result.lower()] += 1
            log.info(
                "boot_probe",
                provider=done.key.provider,
                key_id=done.key.key_id,
                result=done.probed.result,
                detail=done.probed.detail,
            )
        log.info("boot_probe_done", **results)

    def _warn(self) -> None:
        """Say what an operator may not expect."""
        if not self._settings.lease_secrets:
            hint = f"leases do not survive a restart: set {variable('lease_secrets')}"
            log.info("lease_secret_made_up", hint=hint)
