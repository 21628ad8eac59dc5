"""What only shows when settings are seen together, or used."""

import ipaddress
import ssl
from collections.abc import Collection, Iterator
from pathlib import Path

from broker.adapters.sources.watched_file import read_regular
from broker.catalog import load_catalog
from broker.config.forms import parse_address
from broker.config.providers import configured_names, provider_faults
from broker.config.settings import Settings, variable
from broker.config.stores import is_postgres


def cross_faults(
    settings: Settings, broken: Collection[str] = (), *, is_to_serve: bool = True
) -> Iterator[str]:
    """Every fault, as `NAME: problem; what to do`; `broken` settings stand at their defaults."""
    yield from _exposure_faults(settings, has_tokens=bool(settings.tokens) or "tokens" in broken)
    yield from _tls_faults(settings)
    yield from _token_faults(settings)
    yield from _key_file_faults(settings)
    yield from provider_faults(settings, load_catalog())
    yield from _boot_faults(settings)
    yield from _selector_faults(settings)
    if is_to_serve:
        yield from _sharing_faults(settings, broken)


def _sharing_faults(settings: Settings, broken: Collection[str]) -> Iterator[str]:
    """Brokers on one database need the same secrets, and none can make them for the others."""
    if not is_postgres(settings.database):
        return
    at = f"is needed with {variable('database')} in PostgreSQL, the same for all its brokers"
    for setting in ("lease_secrets", "fingerprint_secret"):
        if not getattr(settings, setting) and setting not in broken:
            yield f"{variable(setting)}: {at}; make one with: openssl rand -hex 32"
    if {"seal_key_file", "seal_kms_keys"}.isdisjoint(broken) and not (
        settings.seal_key_file or settings.seal_kms_keys
    ):
        yield (
            f"{variable('seal_key_file')}: {at}; make a file with: keybroker seal init FILE, or"
            f" set {variable('seal_kms_keys')}"
        )


def _selector_faults(settings: Settings) -> Iterator[str]:
    known = configured_names(settings, load_catalog())
    for index, selector in enumerate(settings.secrets_manager):
        if selector.provider is not None and selector.provider not in known:
            where = f"{variable('secrets_manager')}[{index}].provider"
            yield f"{where}: no such provider; use one of {', '.join(known)}"


def _boot_faults(settings: Settings) -> Iterator[str]:
    known = configured_names(settings, load_catalog())
    for index, name in enumerate(settings.required_providers):
        if name not in known:
            where = f"{variable('required_providers')}[{index}]"
            yield f"{where}: no such provider; use one of {', '.join(known)}"


def is_loopback(host: str) -> bool:
    """Does only this machine reach the host?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _exposure_faults(settings: Settings, *, has_tokens: bool) -> Iterator[str]:
    """Beyond loopback secrets would travel in the clear, to whoever asks."""
    for setting in ("grpc_listen", "http_listen"):
        address = getattr(settings, setting)
        if not address or is_loopback(parse_address(address).host):
            continue
        name = variable(setting)
        if not settings.has_tls:
            needed = f"{variable('tls_cert')} and {variable('tls_key')}"
            yield f"{name}: is beyond loopback without TLS; set {needed}, or listen on 127.0.0.1"
        if not has_tokens:
            needed = f"{variable('tokens')} or {variable('tokens_file')}"
            yield f"{name}: is beyond loopback without tokens; set {needed}, or listen on 127.0.0.1"


def _tls_faults(settings: Settings) -> Iterator[str]:
    files = {
        setting: path
        for setting in ("tls_cert", "tls_key", "tls_client_ca")
        if (path := getattr(settings, setting)) is not None
    }
    unreadable = False
    for setting, path in files.items():
        problem = _read_problem(path)
        if problem:
            unreadable = True
            yield f"{variable(setting)}: cannot be read ({problem}); correct the path"
    if ("tls_cert" in files) != ("tls_key" in files):
        missing = "tls_key" if "tls_cert" in files else "tls_cert"
        yield f"{variable(missing)}: is missing; certificate and key are set together"
    elif "tls_cert" in files and not unreadable:
        yield from _pair_faults(files["tls_cert"], files["tls_key"])
    if "tls_client_ca" in files and "tls_cert" not in files:
        yield f"{variable('tls_client_ca')}: needs a server certificate; set {variable('tls_cert')}"


def _pair_faults(cert: Path, key: Path) -> Iterator[str]:
    try:
        # An empty password, since a key that is encrypted would have a person asked for it.
        ssl.create_default_context().load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError):
        yield (
            f"{variable('tls_key')}: does not belong to {variable('tls_cert')}, or one of them is"
            " no PEM file or encrypted; give a matching pair"
        )


def _token_faults(settings: Settings) -> Iterator[str]:
    digests = [token.digest for token in settings.tokens]
    for index, found in enumerate(digests):
        if found in digests[:index]:
            first = digests.index(found)
            yield f"{variable('tokens')}[{index}]: is the token of [{first}]; give each its own"


def _key_file_faults(settings: Settings) -> Iterator[str]:
    """What is wrong in the file of keys is told by it as a source; it must be there."""
    problem = _read_problem(settings.keys_file) if settings.keys_file is not None else ""
    if problem:
        yield f"{variable('keys_file')}: cannot be read ({problem}); correct the path"


def _read_problem(path: Path) -> str:
    try:
        read_regular(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""
