"""A connection to a broker, and where its answers go."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from broker.cli.address import DEFAULT_ADDRESS, read_target
from broker.cli.exits import CommandError, Exit
from broker.cli.faults import call_error
from broker.cli.options import ALL_OPTIONS
from broker.cli.output import Output
from broker.core.secret import Secret
from keybroker.v1.admin_pb2_grpc import AdminServiceStub
from keybroker.v1.lease_pb2_grpc import LeaseServiceStub
from keybroker.v1.status_pb2_grpc import StatusServiceStub

DEFAULT_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

Metadata: TypeAlias = tuple[tuple[str, str], ...]
Request_contra = TypeVar("Request_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)
Asked = TypeVar("Asked", bound=Message)
Answer = TypeVar("Answer", bound=Message)


class Rpc(Protocol[Request_contra, Answer_co]):
    """A method of a stub."""

    def __call__(
        self, request: Request_contra, timeout: float | None, metadata: Metadata
    ) -> Answer_co:
        """Call it."""
        ...


class Conversation(Iterator[Answer_co], Protocol):
    """Answers that come while requests go out."""

    def cancel(self) -> object:
        """End it."""
        ...


class ExchangeRpc(Protocol[Request_contra, Answer_co]):
    """A method of a stub that takes requests and gives answers at once."""

    def __call__(
        self,
        request_iterator: Iterator[Request_contra],
        timeout: float | None,
        metadata: Metadata,
    ) -> Conversation[Answer_co]:
        """Call it."""
        ...


class Session:
    """One command's calls, each with a deadline and the caller's token."""

    OPTIONS: ClassVar[Mapping[str, Any]] = ALL_OPTIONS

    def __init__(self, given: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        """Read what is needed to call; nothing is sent yet. Raises CommandError."""
        self.out = Output.from_options(given)
        self.timeout_s: float = given["timeout"] or DEFAULT_TIMEOUT_S
        self._ca: Path | None = given["ca"] or _path(environ, "KEYBROKER_CA")
        self._cert: Path | None = given["client_cert"] or _path(environ, "KEYBROKER_CLIENT_CERT")
        self._key: Path | None = given["client_key"] or _path(environ, "KEYBROKER_CLIENT_KEY")
        if (self._cert is None) != (self._key is None):
            raise CommandError(
                Exit.USAGE, "a client's certificate and its key go together: give both"
            )
        address = given["address"] or environ.get("KEYBROKER_ADDRESS") or DEFAULT_ADDRESS
        self.target = read_target(address, wants_tls=bool(self._ca or self._cert))
        self._token = _token(given["token_file"], environ)
        if self._token is not None and not (self.target.has_tls or self.target.is_local):
            message = f"a token is not sent to {self.target.name} in the clear: write https://"
            raise CommandError(Exit.USAGE, message)

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """A session with the process's environment."""
        return cls(given, os.environ)

    @cached_property
    def admin(self) -> AdminServiceStub:
        """What operators call."""
        return AdminServiceStub(self._channel)

    @cached_property
    def status(self) -> StatusServiceStub:
        """What answers questions."""
        return StatusServiceStub(self._channel)

    @cached_property
    def leases(self) -> LeaseServiceStub:
        """What gateways call."""
        return LeaseServiceStub(self._channel)

    def call(self, rpc: Rpc[Asked, Answer], request: Asked) -> Answer:
        """The answer; raises CallError."""
        try:
            return rpc(request, timeout=self.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise call_error(error, self.target.name, self.timeout_s) from None

    def stream(self, rpc: Rpc[Asked, Iterator[Answer]], request: Asked) -> Iterator[Answer]:
        """The answers as they come, without a deadline; raises CallError."""
        yield from self._answers(rpc(request, timeout=None, metadata=self._metadata))

    @contextmanager
    def exchange(
        self, rpc: ExchangeRpc[Asked, Answer], requests: Iterator[Asked]
    ) -> Iterator[Iterator[Answer]]:
        """Send requests as they come, and have the answers; leaving it early ends the call.

        What is iterated raises CallError. A thread goes through the requests, which must not raise.
        """
        call = rpc(requests, timeout=None, metadata=self._metadata)
        try:
            yield self._answers(call)
        finally:
            call.cancel()

    def _answers(self, call: Iterator[Answer]) -> Iterator[Answer]:
        try:
            yield from call
        except grpc.RpcError as error:
            raise call_error(error, self.target.name, self.timeout_s) from None

    @cached_property
    def _metadata(self) -> Metadata:
        if self._token is None:
            return ()
        return (("authorization", f"Bearer {self._token.reveal()}"),)

    @cached_property
    def _channel(self) -> grpc.Channel:
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
            ("grpc.primary_user_agent", "keybroker-cli"),
        ]
        if not self.target.has_tls:
            # A proxy from the environment would be sent the token in the clear.
            options.append(("grpc.enable_http_proxy", 0))
            return grpc.insecure_channel(self.target.name, options)
        _check_files(self._ca, self._cert, self._key)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(self._ca, "--ca"),
            private_key=_read(self._key, "--client-key"),
            certificate_chain=_read(self._cert, "--client-cert"),
        )
        return grpc.secure_channel(self.target.name, credentials, options)


def _check_files(ca: Path | None, cert: Path | None, key: Path | None) -> None:
    """What gRPC would only log and fail by; raises CommandError."""
    for file, option in ((ca, "--ca"), (cert, "--client-cert"), (key, "--client-key")):
        _read(file, option)
    context = ssl.create_default_context()
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except ssl.SSLError:
        message = f"--ca: {ca} holds no certificate; give a PEM file"
        raise CommandError(Exit.USAGE, message) from None
    try:
        if cert is not None:
            # An empty password, since a key that is encrypted would have a person asked for it.
            context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError):
        message = f"--client-cert: {cert} and {key} are no pair of certificate and open key in PEM"
        raise CommandError(Exit.USAGE, f"{message}; give those that belong together") from None


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name, "").strip()
    return Path(value) if value else None


def _token(file: Path | None, environ: Mapping[str, str]) -> Secret | None:
    """The bearer token, from the file that was named, else the environment."""
    if file is None:
        text, where = environ.get("KEYBROKER_TOKEN", "").strip(), "KEYBROKER_TOKEN"
        if not text:
            return None
    else:
        where = "--token-file"
        text = (_read(file, where) or b"").decode("latin-1").strip()
    if not text or not all("!" <= c <= "~" for c in text):
        problem = "holds no token: a token is printable ASCII without spaces"
        raise CommandError(Exit.USAGE, f"{where} {problem}")
    return Secret(text)


def _read(file: Path | None, where: str) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        problem = error.strerror or type(error).__name__
        message = f"{where}: {file} cannot be read ({problem}); correct the path"
        raise CommandError(Exit.USAGE, message) from None
