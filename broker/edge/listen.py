"""Where to listen: an address, and what is said of one that cannot be had."""

import socket
from typing import NamedTuple


class ListenError(Exception):
    """An address that cannot be listened on; the message says why and what to do."""

    def __init__(self, setting: str, address: "Address", why: str) -> None:
        super().__init__(
            f"{setting}: cannot listen on {address}: {why}; stop what listens there, or set"
            f" {setting} to another address"
        )


class Address(NamedTuple):
    """A host and a port; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def bind(self, setting: str) -> socket.socket:
        """A socket that listens here; raises ListenError."""
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server(address[:2], family=family)
        except OSError as error:
            why = error.strerror or str(error)
            # What create_server adds in brackets is the address, which is told already.
            raise ListenError(setting, self, why.partition(" (while ")[0]) from None
