"""Which broker is called, and whether what is sent there can be read on the way."""

from typing import Final, NamedTuple

from broker.cli.exits import CommandError, Exit
from broker.config.checks import is_loopback
from broker.config.forms import parse_address

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
DEFAULT_PORT: Final = 50051


class Target(NamedTuple):
    """A broker's address as gRPC takes it."""

    name: str
    is_local: bool
    has_tls: bool


def read_target(text: str, *, wants_tls: bool) -> Target:
    """The broker at `text`, `[https://]host[:port]`; raises CommandError.

    Beyond loopback there is no call without TLS, unless http:// asks for it.
    """
    scheme, slashes, rest = text.strip().rpartition("://")
    if scheme not in {"", "http", "https"} or (slashes and not scheme):
        raise _wrong(text)
    rest = rest.removesuffix("/")
    if not _has_port(rest):
        rest = f"{rest}:{DEFAULT_PORT}"
    try:
        address = parse_address(rest)
    except ValueError:
        raise _wrong(text) from None
    if not address.port or any(c in "/@?#" for c in address.host):
        raise _wrong(text)
    is_local = is_loopback(address.host)
    if scheme == "http" and wants_tls:
        problem = "http:// and a CA or client certificate contradict: write https://"
        raise CommandError(Exit.USAGE, f"{text!r}: {problem}")
    has_tls = scheme == "https" or wants_tls or (not is_local and scheme != "http")
    return Target(str(address), is_local, has_tls)


def _has_port(text: str) -> bool:
    return ":" in text.rpartition("]")[2]


def _wrong(text: str) -> CommandError:
    wanted = "write host:port, such as 127.0.0.1:50051, or https://broker.example:50051"
    return CommandError(Exit.USAGE, f"{text!r} is no address of a broker: {wanted}")
