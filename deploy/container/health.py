"""Is the broker in this container ready? Exits with 0 when it is; needs nothing but Python.

Asks `/readyz`, over TLS where the broker speaks it. Its certificate is not checked: it is made out
to the name that callers use, and this call never leaves the container. Without the HTTP server, a
gRPC port that takes connections has to do.
"""

import os
import socket
import ssl
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection

TIMEOUT_S = 3.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound


def main(environ: Mapping[str, str]) -> str:
    """What is wrong, "" when nothing is."""
    has_tls = bool(environ.get("KEYBROKER_TLS_CERT"))
    listen = environ.get("KEYBROKER_HTTP_LISTEN", "127.0.0.1:8080").strip()
    try:
        if listen:
            return _ask(*_reachable(listen), has_tls=has_tls)
        grpc = environ.get("KEYBROKER_GRPC_LISTEN", "").strip() or "127.0.0.1:50051"
        host, port = _reachable(grpc)
        socket.create_connection((host.strip("[]"), port), TIMEOUT_S).close()
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _reachable(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return ANY_ADDRESS.get(host, host), int(port)


def _ask(host: str, port: int, *, has_tls: bool) -> str:
    connection: HTTPConnection
    if has_tls:
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        connection = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=unchecked)
    else:
        connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    return "" if answer.status == 200 else answer.read(200).decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main(os.environ) or 0)
