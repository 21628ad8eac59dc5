"""Certificates made for one test, by the openssl program."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.tools import require_tool


class Pair(NamedTuple):
    """A certificate and its key, as PEM files."""

    cert: Path
    key: Path


def make_pair(folder: Path, name: str, issuer: Pair | None = None) -> Pair:
    """A certificate for localhost, signed by `issuer` or by itself."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    signed = ["-CA", str(issuer.cert), "-CAkey", str(issuer.key)] if issuer else []
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [
            *(require_tool("openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}"),
            *("-addext", names, "-keyout", str(pair.key), "-out", str(pair.cert), *signed),
        ],
        check=True,
        capture_output=True,
    )
    return pair
