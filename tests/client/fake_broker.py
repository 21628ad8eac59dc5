"""A broker that answers what a test tells it to, over real gRPC on loopback."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keybroker.v1 import denial_pb2, key_pb2, lease_pb2, lease_pb2_grpc, verdict_pb2

CANARY = "sk-canary-5ca1ab1e"

Script = Callable[[Any, grpc.ServicerContext], Any]


def a_lease(key_id: str = "openai/1", **fields: Any) -> lease_pb2.Lease:
    """A lease of five minutes on a key of OpenAI's."""
    life_s = fields.pop("life_s", 300.0)
    lease = lease_pb2.Lease(
        lease_id=f"kb1.{key_id}",
        key_id=key_id,
        revision="r1",
        provider="openai",
        model="gpt-4o",
        provider_model="gpt-4o-2024",
        base_url="http://127.0.0.1:1",
        provenance=key_pb2.PROVENANCE_SYSTEM,
        attempt=1,
    )
    lease.api_key.secret.plaintext = CANARY
    lease.api_key.header_name = "authorization"
    lease.api_key.header_prefix = "Bearer "
    lease.api_key.extra_headers["x-version"] = "1"
    now_ns = time.time_ns()
    lease.grant_time.FromNanoseconds(now_ns)
    lease.expire_time.FromNanoseconds(now_ns + int(life_s * 1e9))
    lease.MergeFrom(lease_pb2.Lease(**fields))
    return lease


def a_denial(
    reason: str = "QUARANTINED", action: str = "FIX_KEYS", retry_s: float | None = None
) -> denial_pb2.Denial:
    """A denial."""
    denial = denial_pb2.Denial(
        reason=denial_pb2.DenialReason.Value(f"DENIAL_REASON_{reason}"),
        action=denial_pb2.DenialAction.Value(f"DENIAL_ACTION_{action}"),
        message="no key",
        alternatives=[denial_pb2.Target(provider="gemini", model="flash")],
        keys_by_state={"quarantined": 2},
        help_url="https://help.test",
    )
    if retry_s is not None:
        denial.retry_delay.FromNanoseconds(int(retry_s * 1e9))
    return denial


def an_answer(
    kind: str = "OK",
    advice: str = "STOP",
    *,
    delay_s: float = 0.0,
    state: str = "ENDED",
    lease: lease_pb2.Lease | None = None,
    denial: denial_pb2.Denial | None = None,
) -> lease_pb2.ReportOutcomeResponse:
    """The answer to a report."""
    answer = lease_pb2.ReportOutcomeResponse(
        lease_state=lease_pb2.LeaseState.Value(f"LEASE_STATE_{state}"),
        lease=lease,
        denial=denial,
    )
    answer.verdict.kind = verdict_pb2.VerdictKind.Value(f"VERDICT_KIND_{kind}")
    answer.advice.action = verdict_pb2.AdviceAction.Value(f"ADVICE_ACTION_{advice}")
    answer.advice.delay.FromNanoseconds(int(delay_s * 1e9))
    return answer


def granting(lease: lease_pb2.Lease) -> Script:
    """Grant this lease."""
    return lambda _request, _context: lease_pb2.AcquireLeaseResponse(lease=lease)


def denying(denial: denial_pb2.Denial) -> Script:
    """Deny."""
    return lambda _request, _context: lease_pb2.AcquireLeaseResponse(denial=denial)


def failing(code: grpc.StatusCode, reason: str = "", **metadata: str) -> Script:
    """Fail as the broker does."""

    def fail(_request: Any, context: grpc.ServicerContext) -> None:
        if reason:
            detail = AnyMessage()
            detail.Pack(ErrorInfo(reason=reason, domain="keybroker", metadata=metadata))
            status = Status(code=code.value[0], message="told", details=[detail])
            trailers = (("grpc-status-details-bin", status.SerializeToString()),)
            context.set_trailing_metadata(trailers)
        context.abort(code, "told")

    return fail


def hanging(seconds: float) -> Script:
    """Let the caller wait, then fail it."""

    def hang(_request: Any, context: grpc.ServicerContext) -> None:
        deadline = time.monotonic() + seconds
        while context.is_active() and time.monotonic() < deadline:
            time.sleep(0.01)
        context.abort(grpc.StatusCode.INTERNAL, "nobody waited")

    return hang


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has come true; fails the test when it does not."""
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in other threads
            await asyncio.sleep(0.01)


def answering(answer: Message) -> Script:
    """Answer this."""
    return lambda _request, _context: answer


@dataclass
class FakeBroker(lease_pb2_grpc.LeaseServiceServicer):
    """Records what it is asked; answers from the script, else grants, says OK and renews."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    scripts: dict[str, deque[Script]] = field(default_factory=dict)
    news: SimpleQueue[lease_pb2.WatchKeysResponse | None] = field(default_factory=SimpleQueue)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    life_s: float = 300.0
    grants: int = 0
    watchers: int = 0
    port: int = 0
    server: grpc.Server | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen, at the port that it had before if it had one."""
        options = (("grpc.so_reuseport", 0),)
        self.server = grpc.server(ThreadPoolExecutor(16), options=options)
        lease_pb2_grpc.add_LeaseServiceServicer_to_server(self, self.server)
        address = f"127.0.0.1:{self.port}"
        if credentials is None:
            self.port = self.server.add_insecure_port(address)
        else:
            self.port = self.server.add_secure_port(address, credentials)
        self.server.start()

    def stop(self) -> None:
        """Die at once: calls under way are broken off."""
        assert self.server is not None
        self.news.put(None)
        self.server.stop(0).wait(5)

    def script(self, method: str, *scripts: Script) -> None:
        """The next answers to a method, in their order."""
        self.scripts.setdefault(method, deque()).extend(scripts)

    def requests(self, method: str) -> list[Any]:
        """What was asked of a method."""
        return [request for name, request in self.asked if name == method]

    @property
    def reports(self) -> list[Any]:
        """The reports."""
        return self.requests("ReportOutcome")

    @property
    def methods(self) -> list[str]:
        """The methods that were called, in their order, the stream of news apart."""
        return [name for name, _ in self.asked if name != "WatchKeys"]

    def AcquireLease(self, request: Any, context: Any) -> Any:
        scripted = self._scripted("AcquireLease", request, context)
        if scripted is not None:
            return scripted
        self.grants += 1
        lease = a_lease(life_s=self.life_s, attempt=request.attempt)
        lease.lease_id = f"kb1.lease-{self.grants}"
        return lease_pb2.AcquireLeaseResponse(lease=lease)

    def ReportOutcome(self, request: Any, context: Any) -> Any:
        scripted = self._scripted("ReportOutcome", request, context)
        state = "LIVE" if request.keep_lease or request.outcome.interim else "ENDED"
        return scripted or an_answer(state=state)

    def ReleaseLease(self, request: Any, context: Any) -> Any:
        scripted = self._scripted("ReleaseLease", request, context)
        return scripted or lease_pb2.ReleaseLeaseResponse()

    def RenewLease(self, request: Any, context: Any) -> Any:
        scripted = self._scripted("RenewLease", request, context)
        if scripted is not None:
            return scripted
        answer = lease_pb2.RenewLeaseResponse(lease_id=request.lease_id + "+")
        answer.expire_time.FromNanoseconds(time.time_ns() + int(self.life_s * 1e9))
        return answer

    def ReportOutcomes(self, request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the client sends no batches")

    def WatchKeys(self, request: Any, context: Any) -> Iterator[lease_pb2.WatchKeysResponse]:
        self._note("WatchKeys", request, context)
        self.watchers += 1
        try:
            while context.is_active():
                try:
                    item = self.news.get(timeout=0.05)
                except Empty:
                    continue
                if item is None:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
                else:
                    yield item
        finally:
            self.watchers -= 1

    def _scripted(self, method: str, request: Any, context: Any) -> Any:
        self._note(method, request, context)
        waiting = self.scripts.get(method)
        return waiting.popleft()(request, context) if waiting else None

    def _note(self, method: str, request: Any, context: Any) -> None:
        self.asked.append((method, request))
        self.metadata.append(dict(context.invocation_metadata()))
        self.peers.append(context.peer())
