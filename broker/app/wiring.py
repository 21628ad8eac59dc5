"""From settings to an app that can be started."""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector

from broker.adapters.aws import AwsClients
from broker.adapters.http import HttpProber
from broker.adapters.memory import MemoryClaims
from broker.adapters.prometheus import PrometheusMeter
from broker.app.core import wire
from broker.app.database import open_stores
from broker.app.running import App
from broker.app.servicers import make_servicers
from broker.app.sources import key_sources
from broker.app.stores import Stores
from broker.app.tenant_table import with_tenant_table
from broker.app.world import StoreView, Tenancy, World
from broker.catalog import load_catalog
from broker.config import Settings, configured_providers
from broker.config.forms import parse_hour
from broker.core.policy import HOUR_S
from broker.core.provider import Provider
from broker.core.verdicts.dialect import Dialect
from broker.edge.bearer import BearerTokens
from broker.edge.grpc.server import GrpcServer, ServerTls
from broker.edge.http.app import HttpApi
from broker.edge.http.server import HttpServer
from broker.ports.clock import Clock
from broker.ports.key_source import KeySource
from broker.ports.prober import Prober
from broker.services.boot import BootRules
from broker.services.lookout import WatchRules
from broker.services.pacing import LeaseQuotas
from broker.services.principal import Principal
from broker.services.refreshing import SourceRules


async def build(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    sources: Sequence[KeySource] | None = None,
    prober: Prober | None = None,
) -> App:
    """An app of `settings`, its database open; what the keywords give stands in for the real thing.

    Raises StartError. Stop the app also where it was never started.
    """
    catalog = load_catalog()
    providers = configured_providers(settings, catalog)
    environ = os.environ if environ is None else environ
    replica = settings.replica or f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
    aws = AwsClients()
    stores = _closing_too(aws, await open_stores(settings, replica, clock))
    try:
        if sources is None:
            sources = key_sources(settings, environ, providers, stores.fingerprint_secret, aws)
        stores = await with_tenant_table(settings, providers, replica, stores)
        return _assemble(settings, catalog, providers, replica, stores, sources, prober)
    except BaseException:
        await stores.close()
        raise


def _closing_too(aws: AwsClients, stores: Stores) -> Stores:
    """The stores, with which the clients end that sources call AWS with."""

    async def close() -> None:
        await stores.close()
        await aws.close()

    return replace(stores, close=close)


def _assemble(
    settings: Settings,
    catalog: Mapping[str, Dialect],
    providers: Mapping[str, Provider],
    replica: str,
    stores: Stores,
    sources: Sequence[KeySource],
    prober: Prober | None,
) -> App:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    max_stale_s = settings.max_stale_hours * HOUR_S
    world = World(
        replica=replica,
        clock=stores.clock,
        sources=sources,
        source_rules=SourceRules(settings.source_poll_seconds, max_stale_s),
        copies=stores.copies,
        prober=prober or HttpProber(settings.probe_timeout_seconds),
        log=stores.log,
        claims=MemoryClaims(),
        mark_store=stores.mark_store,
        key_store=stores.key_store,
        last_good=stores.last_good,
        sealer=stores.sealer,
        sealed_rows=stores.sealed_rows,
        agreements=stores.agreements,
        changes=stores.changes,
        history=stores.history,
        store=StoreView(stores.kind, stores.fault),
        make_meter=partial(PrometheusMeter, registry, stores.clock),
        secrets=stores.lease_secrets,
        fingerprint_secret=stores.fingerprint_secret,
        quotas=LeaseQuotas(settings.lease_quota_per_principal, settings.lease_quota_per_tenant),
        table=stores.table,
        vault=stores.vault,
        tenancy=Tenancy(
            settings.default_tenant_policy,
            settings.tenant_cache_size,
            max_stale_s=max_stale_s,
            poll_s=stores.poll_s,
        ),
        watch=WatchRules(
            BootRules(settings.boot_probe, settings.required_providers),
            settings.sentinel_seconds,
            settings.expiry_reminder_days,
            parse_hour(settings.daily_report),
        ),
    )
    core = wire(providers, world)
    servicers = make_servicers(core, catalog)
    tokens, tls = _tokens(settings), _tls(settings)
    grpc_server = GrpcServer(
        servicers.services(), tokens, replica, tls=tls, has_reflection=settings.reflection
    )
    http_server = None
    if settings.http_listen:
        api = HttpApi(registry, servicers.show_status, lambda: app.not_ready, tokens)
        http_server = HttpServer(api.app(), (tls.cert, tls.key) if tls else None)
    app = App(settings, core, grpc_server, http_server, stores)
    return app


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
