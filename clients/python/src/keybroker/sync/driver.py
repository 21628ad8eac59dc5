"""Carries out programs in the thread that calls."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from keybroker.address import Address
from keybroker.errors import DRAINING, ClientClosedError
from keybroker.faults import fault_of
from keybroker.leasing import FAREWELL_S
from keybroker.line import Line, Wire
from keybroker.news import WATCH_S
from keybroker.record import CallRecord
from keybroker.steps import Farewell, Pause, Rpc, Send, Step, Steps, Use, tries
from keybroker.v1.lease_pb2 import WatchKeysRequest, WatchKeysResponse
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub

T = TypeVar("T")

User: TypeAlias = Callable[[CallRecord], Any]

log = logging.getLogger("keybroker")


class Driver:
    """The I/O of one client."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.line = Line(self._connect)
        self._streams: set[Any] = set()

    def run(self, steps: Steps[T], user: User | None = None, *, until: float | None = None) -> T:
        """Run a program to its end; `user` is what it means by Use.

        No RPC lasts beyond `until`, in monotonic seconds.
        """
        try:
            step = next(steps)
            while True:
                try:
                    done = self._carry_out(step, user, until)
                except BaseException as error:  # noqa: BLE001 - the program decides what it means
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            result: T = end.value
            return result

    def farewell(self, steps: Steps[None]) -> None:
        """Run a program in bounded time; its faults are logged."""
        try:
            self.run(steps, until=time.monotonic() + FAREWELL_S)
        except Exception as fault:  # noqa: BLE001 - the caller's own end matters more
            log.warning("a lease was left without a word to the broker: %r", fault)

    def close(self) -> None:
        """Hang up."""
        self.line.close()
        for stream in tuple(self._streams):
            stream.cancel()
        channel = self.line.hang_up()
        if channel is not None:
            channel.close()

    def _carry_out(self, step: Step, user: User | None, until: float | None) -> object:
        match step:
            case Send():
                return self._send(step)
            case Rpc():
                left = step.timeout_s if until is None else until - time.monotonic()
                rpc = replace(step, timeout_s=min(step.timeout_s, left))
                return self.run(tries(rpc, time.monotonic))
            case Pause():
                time.sleep(step.seconds)
            case Farewell():
                self.farewell(step.steps)
            case Use():
                assert user is not None  # noqa: S101 - only calls use, and they bring a user
                return user(step.record)
        return None

    def listen(self, hear: Callable[[WatchKeysResponse], None]) -> None:
        """Pass on the broker's news until the stream ends; raises BrokerError when it breaks."""
        with self._lent() as wire:
            metadata = self.address.metadata
            stream = wire.stub.WatchKeys(WatchKeysRequest(), timeout=WATCH_S, metadata=metadata)
            self._streams.add(stream)
            try:
                for message in stream:
                    hear(message)
            finally:
                self._streams.discard(stream)

    def _send(self, step: Send) -> Message:
        with self._lent() as wire:
            method = getattr(wire.stub, step.method)
            metadata = self.address.metadata
            answer: Message = method(step.request, timeout=step.timeout_s, metadata=metadata)
            return answer

    @contextmanager
    def _lent(self) -> Iterator[Wire[grpc.Channel]]:
        """The channel for one call, whose failures are raised as the client's."""
        wire = self.line.borrow()
        try:
            yield wire
        except grpc.RpcError as error:
            fault = fault_of(error, str(self.address))
            if fault.reason == DRAINING:
                self.line.retire(wire)
            raise fault from error
        except ValueError as error:  # how gRPC says that the channel was closed
            if not self.line.closed.is_set():
                raise
            raise ClientClosedError("the client was closed meanwhile") from error
        finally:
            channel = self.line.give_back(wire)
            if channel is not None:
                channel.close()

    def _connect(self) -> tuple[grpc.Channel, Any]:
        address = self.address
        if address.credentials is None:
            channel = grpc.insecure_channel(address.target, options=address.options)
        else:
            channel = grpc.secure_channel(
                address.target, address.credentials, options=address.options
            )
        return channel, LeaseServiceStub(channel)
