"""Carries out programs with asyncio."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from keybroker.address import Address
from keybroker.errors import DRAINING, CallTimeoutError, ClientClosedError, KeybrokerError
from keybroker.faults import fault_of
from keybroker.leasing import FAREWELL_S, lease_id_in, release
from keybroker.line import Line, Wire
from keybroker.news import WATCH_S
from keybroker.record import CallRecord
from keybroker.steps import Farewell, Pause, Rpc, Send, Step, Steps, Use, tries
from keybroker.v1.lease_pb2 import WatchKeysRequest, WatchKeysResponse
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub

T = TypeVar("T")

User: TypeAlias = Callable[[CallRecord], Awaitable[Any]]

log = logging.getLogger("keybroker")


class Driver:
    """The I/O of one client, and the tasks that outlive their callers for a moment."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.line = Line(self._connect)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, steps: Steps[T], user: User | None = None) -> T:
        """Run a program to its end; `user` is what it means by Use."""
        try:
            step = next(steps)
            while True:
                try:
                    done = await self._carry_out(step, user)
                except BaseException as error:  # noqa: BLE001 - the program decides what it means
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            result: T = end.value
            return result

    async def farewell(self, steps: Steps[None]) -> None:
        """Run a program in bounded time, whatever becomes of the caller; its faults are logged."""
        await asyncio.wait({self._own(self._quietly(steps))})

    def later(self, steps: Steps[None]) -> None:
        """The same without waiting for it: `close` does. Nothing where no loop runs any more."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        _ = self._own(self._quietly(steps))

    async def close(self) -> None:
        """Let what is under way finish, for a moment; then hang up."""
        self.line.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=FAREWELL_S)
            for task in late:
                task.cancel()
        channel = self.line.hang_up()
        if channel is not None:
            await channel.close()

    async def _carry_out(self, step: Step, user: User | None) -> object:
        match step:
            case Send():
                return await self._send(step)
            case Rpc():
                return await self._rpc(step)
            case Pause():
                await asyncio.sleep(step.seconds)
            case Farewell():
                await self.farewell(step.steps)
            case Use():
                assert user is not None  # noqa: S101 - only calls use, and they bring a user
                return await _use(step, user)
        return None

    async def _rpc(self, rpc: Rpc) -> Message:
        """An RPC. What may bring a lease runs apart, and is not cancelled with its caller."""
        if not rpc.may_grant:
            return await self.run(tries(rpc, monotonic))
        task = self._own(self.run(tries(rpc, monotonic)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ClientClosedError("the client was closed meanwhile") from None
            await asyncio.wait({self._own(self._give_back(task))}, timeout=FAREWELL_S)
            raise

    async def _give_back(self, task: asyncio.Task[Message]) -> None:
        """Release the lease that nobody waits for any more."""
        try:
            lease_id = lease_id_in(await task)
        except KeybrokerError:
            return  # no lease
        if lease_id:
            await self._quietly(release(lease_id))

    async def _quietly(self, steps: Steps[None]) -> None:
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self.run(steps)
        except Exception as fault:  # noqa: BLE001 - the caller's own end matters more
            log.warning("a lease was left without a word to the broker: %r", fault)

    async def listen(self, hear: Callable[[WatchKeysResponse], None]) -> None:
        """Pass on the broker's news until the stream ends; raises BrokerError when it breaks."""
        with self._lent() as wire:
            metadata = self.address.metadata
            stream = wire.stub.WatchKeys(WatchKeysRequest(), timeout=WATCH_S, metadata=metadata)
            async for message in stream:
                hear(message)

    async def _send(self, step: Send) -> Message:
        with self._lent() as wire:
            method = getattr(wire.stub, step.method)
            metadata = self.address.metadata
            answer: Message = await method(step.request, timeout=step.timeout_s, metadata=metadata)
            return answer

    @contextmanager
    def _lent(self) -> Iterator[Wire[grpc.aio.Channel]]:
        """The channel for one call, whose failures are raised as the client's."""
        wire = self.line.borrow()
        try:
            yield wire
        except grpc.RpcError as error:
            fault = fault_of(error, str(self.address))
            if fault.reason == DRAINING:
                self.line.retire(wire)
            raise fault from error
        except grpc.aio.UsageError as error:  # how gRPC says that the channel was closed
            raise ClientClosedError("the client was closed meanwhile") from error
        finally:
            channel = self.line.give_back(wire)
            if channel is not None:
                _ = self._own(channel.close())

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _connect(self) -> tuple[grpc.aio.Channel, Any]:
        address = self.address
        if address.credentials is None:
            channel = grpc.aio.insecure_channel(address.target, options=address.options)
        else:
            channel = grpc.aio.secure_channel(
                address.target, address.credentials, options=address.options
            )
        return channel, LeaseServiceStub(channel)


async def _use(step: Use, user: User) -> object:
    if step.deadline is None:
        return await user(step.record)
    timeout = asyncio.timeout(step.deadline - monotonic())
    try:
        async with timeout:
            return await user(step.record)
    except TimeoutError:
        if timeout.expired():
            raise CallTimeoutError("the provider did not answer within the call's time") from None
        raise
