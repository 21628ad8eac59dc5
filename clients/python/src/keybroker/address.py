"""Where the broker is, and what protects the way there."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from keybroker.errors import SettingError
from keybroker.secret import Secret

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"

OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.enable_retries", 0),  # keybroker.steps retries, see there why
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
    # A broker that restarts is found again within a second, and a lost one given up in two; gRPC
    # by itself would look again after up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # what gRPC allows one attempt to connect
    # Without calls too: the first request after a quiet hour must not meet a dead connection.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_metadata_size", 16 * 1024),  # a fault tells its story in trailers
)
"""The same for every channel."""

_PLAIN: Final = (*OPTIONS, ("grpc.enable_http_proxy", 0))
"""A proxy that the environment names would be sent token and secrets in the clear."""


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address: a target as gRPC takes it, credentials (None: plain), call metadata."""

    target: str
    credentials: grpc.ChannelCredentials | None
    token: Secret

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What authenticates a call."""
        return (("authorization", f"Bearer {self.token.reveal()}"),) if self.token else ()

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """The options of a channel there."""
        return _PLAIN if self.credentials is None else OPTIONS

    def __str__(self) -> str:
        return self.target


def find(
    address: str | None = None,
    token: str | Secret | None = None,
    ca: str | Path | None = None,
    *,
    tls: bool | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Address:
    """The broker's address, from arguments or else from the environment; raises SettingError.

    `host:port` is plain on loopback and needs TLS elsewhere; `https://host:port` is TLS. With `ca`
    (a PEM file) the server's certificate must be signed by it, else by a root of the system.
    """
    text = address or environ.get("KEYBROKER_ADDRESS") or DEFAULT_ADDRESS
    token = environ.get("KEYBROKER_TOKEN", "") if token is None else token
    ca = environ.get("KEYBROKER_CA") if ca is None else ca
    scheme, target, host = _parsed(text)
    if tls is None:
        tls = scheme == "https" or bool(ca)
    if scheme == "http" and tls:
        raise SettingError(f"{text!r} says plain, but TLS or a CA is set: write https://")
    if not tls and not _is_local(scheme, host):
        raise SettingError(
            f"{text!r} is not this machine, and keys and tokens travel over TLS only: write"
            " https://, or name the PEM file of its CA in KEYBROKER_CA"
        )
    secret = token if isinstance(token, Secret) else Secret(_checked(token.strip()))
    return Address(target, _credentials(ca) if tls else None, secret)


def _parsed(text: str) -> tuple[str, str, str]:
    """(scheme, target, host) of an address."""
    if text.startswith("unix:"):
        return "unix", text, ""
    try:
        url = urlsplit(text if "://" in text else f"//{text}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port, url = None, None, urlsplit("")
    if not host or url.scheme not in {"", "http", "https"} or url.path.strip("/") or url.username:
        raise SettingError(f"{text!r} is no address: write host:port or https://host:port")
    if port is None:
        if not url.scheme:
            raise SettingError(f"{text!r} has no port: write host:port, as in {DEFAULT_ADDRESS}")
        port = 443 if url.scheme == "https" else 80
    return url.scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", host


def _is_local(scheme: str, host: str) -> bool:
    if scheme == "unix":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise SettingError("the token has characters that no header takes: set it anew")
    return token


def _credentials(ca: str | Path | None) -> grpc.ChannelCredentials:
    path = Path(ca) if ca else _system_roots()
    if path is None:
        return grpc.ssl_channel_credentials()  # the roots that come with gRPC
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise SettingError(f"the CA file {path} cannot be read: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise SettingError(f"the CA file {path} holds no certificate in PEM form")
    return grpc.ssl_channel_credentials(pem)


def _system_roots() -> Path | None:
    """The system's roots, which gRPC does not look for; SSL_CERT_FILE overrides them."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None
