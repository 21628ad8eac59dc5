"""Where a provider's calls go, and with them its keys."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

MAX_CHARS = 1024
"""Every lease token of the upstream carries its endpoint."""


def checked_base_url(text: str) -> str:
    """The URL without a trailing slash; raises ValueError, which says what it must be.

    A secret goes there: only over TLS, or where it does not leave the machine.
    """
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise ValueError("must be a URL") from None
    if not host or not re.fullmatch(r"[!-~]+", text) or len(text) > MAX_CHARS:
        raise ValueError(f"must be a URL with a host and at most {MAX_CHARS} characters")
    if url.username is not None or url.query or url.fragment:
        raise ValueError("must be a URL without user, query and fragment")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host)):
        raise ValueError("must begin with https://, or http:// on loopback")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
