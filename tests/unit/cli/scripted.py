"""A broker that answers from a script, over loopback, and keeps what it was asked."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keybroker.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from keybroker.v1.lease_pb2_grpc import add_LeaseServiceServicer_to_server
from keybroker.v1.status_pb2_grpc import add_StatusServiceServicer_to_server


@dataclass(frozen=True)
class Fault:
    """A status other than OK; with a reason it is one that the broker explains."""

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    def end(self, context: grpc.ServicerContext) -> None:
        """End a call with it."""
        if self.reason:
            info = ErrorInfo(
                reason=f"ERROR_REASON_{self.reason}", domain="keybroker", metadata=self.metadata
            )
            packed = AnyMessage()
            packed.Pack(info)
            status = Status(code=self.code.value[0], message=self.message, details=[packed])
            details = (("grpc-status-details-bin", status.SerializeToString()),)
            context.set_trailing_metadata(details)
        context.abort(self.code, self.message)


Answer: TypeAlias = Message | Fault | list[Message] | Callable[[Any], Message]


class Scripted:
    """The three services in one: each method answers what was scripted for its name."""

    def __init__(self) -> None:
        self.script: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.tokens: list[str] = []
        self.port = 0

    def on(self, method: str, *answers: Answer) -> None:
        """Answer so, one call after the other; the last one goes on."""
        self.script[method] = list(answers)

    def requests(self, method: str) -> list[Any]:
        """What was asked of one method."""
        return [request for name, request in self.asked if name == method]

    def __getattr__(self, method: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        return lambda request, context: self._answer(method, request, context)

    def _answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        self.asked.append((method, request))
        metadata = dict(context.invocation_metadata())
        self.tokens.append(str(metadata.get("authorization", "")))
        answers = self.script.get(method, [])
        if not answers:
            Fault(grpc.StatusCode.UNIMPLEMENTED).end(context)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Fault):
            answer.end(context)
        if isinstance(answer, list):
            return iter(answer)
        return answer(request) if callable(answer) else answer


def served(credentials: grpc.ServerCredentials | None = None) -> Iterator[Scripted]:
    """A scripted broker on a free port, until the generator goes on."""
    broker: Any = Scripted()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        add_AdminServiceServicer_to_server(broker, server)
        add_LeaseServiceServicer_to_server(broker, server)
        add_StatusServiceServicer_to_server(broker, server)
        if credentials is None:
            broker.port = server.add_insecure_port("127.0.0.1:0")
        else:
            broker.port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield broker
        finally:
            server.stop(None).wait()
