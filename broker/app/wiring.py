"""From settings to an app that can be started."""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector

from broker.adapters.env import EnvKeySource
from broker.adapters.http import HttpProber
from broker.adapters.memory import (
    MemoryClaims,
    MemoryEventHistory,
    MemoryFactLog,
    MemoryMarkStore,
)
from broker.adapters.prometheus import PrometheusMeter
from broker.adapters.system import SystemClock
from broker.app.core import World, wire
from broker.app.running import App
from broker.app.servicers import make_servicers
from broker.catalog import load_catalog
from broker.config import Settings, configured_providers
from broker.edge.bearer import BearerTokens
from broker.edge.grpc.server import GrpcServer, ServerTls
from broker.edge.http.app import HttpApi
from broker.edge.http.server import HttpServer
from broker.ports.clock import Clock
from broker.ports.key_source import KeySource
from broker.ports.prober import Prober
from broker.services.pacing import LeaseQuotas
from broker.services.principal import Principal


def build(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    sources: Sequence[KeySource] | None = None,
    prober: Prober | None = None,
) -> App:
    """An app of `settings`; what the keywords give stands in for the real thing.

    Call it in the event loop that will run the app.
    """
    catalog = load_catalog()
    providers = configured_providers(settings, catalog)
    environ = os.environ if environ is None else environ
    if sources is None:
        sources = [_env_source(settings, environ, list(providers))]
    replica = settings.replica or f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    clock = clock or SystemClock()
    world = World(
        replica=replica,
        clock=clock,
        sources=sources,
        prober=prober or HttpProber(settings.probe_timeout_seconds),
        log=MemoryFactLog(clock),
        claims=MemoryClaims(),
        mark_store=MemoryMarkStore(),
        history=MemoryEventHistory(),
        make_meter=partial(PrometheusMeter, registry, clock),
        secrets=_signing_secrets(settings),
        quotas=LeaseQuotas(settings.lease_quota_per_principal, settings.lease_quota_per_tenant),
    )
    core = wire(providers, world)
    servicers = make_servicers(core, catalog)
    tokens, tls = _tokens(settings), _tls(settings)
    grpc_server = GrpcServer(
        servicers.services(), tokens, replica, tls=tls, has_reflection=settings.reflection
    )
    http_server = None
    if settings.http_listen:
        api = HttpApi(registry, servicers.show_status, lambda: app.is_ready, tokens)
        http_server = HttpServer(api.app(), (tls.cert, tls.key) if tls else None)
    app = App(settings, core, grpc_server, http_server)
    return app


def _signing_secrets(settings: Settings) -> tuple[bytes, ...]:
    """The secrets that sign lease ids and page tokens; one for this run where none is set."""
    given = (secret.get_secret_value().encode() for secret in settings.lease_secrets)
    return tuple(given) or (secrets.token_bytes(32),)


def _env_source(
    settings: Settings, environ: Mapping[str, str], providers: list[str]
) -> EnvKeySource:
    given = settings.fingerprint_secret
    secret = given.get_secret_value().encode() if given else secrets.token_bytes(32)
    file = None if str(settings.env_file) == os.devnull else settings.env_file
    is_named = "env_file" in settings.model_fields_set
    return EnvKeySource(environ, file, providers, secret, required=is_named)


def _tokens(settings: Settings) -> BearerTokens:
    return BearerTokens(
        {
            token.digest: Principal(token.name, token.roles, token.tenants, token.untenanted)
            for token in settings.tokens
        }
    )


def _tls(settings: Settings) -> ServerTls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return ServerTls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
