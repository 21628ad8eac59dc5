"""The services that are called from outside, each behind its servicer."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from google.protobuf.json_format import MessageToDict

from broker.app.core import Core
from broker.core.verdicts.dialect import Dialect
from broker.edge.grpc.admin_service import AdminServicer
from broker.edge.grpc.auth import ADMIN_SERVICE, LEASE_SERVICE, STATUS_SERVICE
from broker.edge.grpc.lease_service import LeaseServicer
from broker.edge.grpc.server import Service
from broker.edge.grpc.status_messages import write_status
from broker.edge.grpc.status_service import StatusServicer
from broker.services.administration import Administration
from broker.services.classifying import Classifying
from broker.services.clearing import Clearing
from broker.services.committing import Committing
from broker.services.explain import Explain
from broker.services.exporting import Exporting
from broker.services.filters import Filters
from broker.services.import_secrets import ImportSecrets
from broker.services.importing import Importing
from broker.services.inventory import Inventory
from broker.services.keeping import Keeping
from broker.services.paging import Pager
from broker.services.policies import Policies
from broker.services.principal import Principal
from broker.services.privacy import Privacy
from broker.services.retiring import Retiring
from broker.services.runnable import Runnable
from broker.services.seal_dropping import SealDropping
from broker.services.sealing import Sealing
from broker.services.status import Replica, Status
from broker.services.tenant_sources import TenantSources
from broker.services.upkeep import Upkeep
from keybroker.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from keybroker.v1.lease_pb2_grpc import add_LeaseServiceServicer_to_server
from keybroker.v1.status_pb2_grpc import add_StatusServiceServicer_to_server


@dataclass(frozen=True, slots=True)
class Servicers:
    """The three services of the API."""

    lease: LeaseServicer
    status: StatusServicer
    admin: AdminServicer

    def services(self) -> list[Service]:
        """How they join a server."""
        return [
            Service(LEASE_SERVICE, lambda to: add_LeaseServiceServicer_to_server(self.lease, to)),
            Service(
                STATUS_SERVICE, lambda to: add_StatusServiceServicer_to_server(self.status, to)
            ),
            Service(ADMIN_SERVICE, lambda to: add_AdminServiceServicer_to_server(self.admin, to)),
        ]

    def show_status(self, principal: Principal) -> dict[str, object]:
        """What GetStatus answers to a principal, as JSON values."""
        status = self.status.privacy.shown_to(principal, self.status.status.now())
        message = write_status(status)
        return MessageToDict(message, preserving_proto_field_name=True)


def make_servicers(core: Core, catalog: Mapping[str, Dialect]) -> Servicers:
    """The servicers over the services of one replica."""
    clock, pager = core.world.clock, Pager(core.world.secrets)
    filters = Filters(
        core.keyring,
        core.health,
        core.marks,
        core.pacing,
        core.choosing,
        core.world.claims,
        core.book,
    )
    explain = Explain(
        keyring=core.keyring,
        tenants=core.tenants,
        routing=core.routing,
        health=core.health,
        pacing=core.pacing,
        choosing=core.choosing,
        granting=core.granting,
        alternatives=core.alternatives,
        upstreams=core.upstreams,
        filters=filters,
        clock=clock,
    )
    status = StatusServicer(
        _status(core),
        Privacy(core.keyring),
        explain,
        Runnable(core.keyring, core.tenants, core.routing, filters, pager, clock),
        Classifying(core.keyring, catalog),
    )
    admin = _admin(core, pager)
    lease = LeaseServicer(core.leasing, core.outcomes, core.watching, core.world.replica)
    return Servicers(lease, status, admin)


def _admin(core: Core, pager: Pager) -> AdminServicer:
    clock, store = core.world.clock, core.world.key_store
    committing = Committing(core.tenants)
    sealing = Sealing(core.world.sealer, clock, core.world.fingerprint_secret)
    retiring = Retiring(core.keyring, core.health, core.marks, core.watching)
    return AdminServicer(
        Administration(
            core.keyring,
            core.tenants,
            core.health,
            core.marks,
            core.mark_effects,
        ),
        Clearing(core.keyring, core.health, clock),
        Inventory(
            keyring=core.keyring,
            health=core.health,
            marks=core.marks,
            store=store,
            opening=core.opening,
            history=core.world.history,
            pager=pager,
            clock=clock,
        ),
        Upkeep(core.keyring, core.tenants, core.probing, core.refreshing),
        Keeping(
            keyring=core.keyring,
            store=store,
            sealing=sealing,
            opening=core.opening,
            tenants=core.tenants,
            committing=committing,
            retiring=retiring,
            rotating=core.rotating,
            probing=core.probing,
            journal=core.journal,
            clock=clock,
        ),
        Policies(core.keyring, store, core.tenants, committing, core.journal, clock),
        Importing(
            keyring=core.keyring,
            store=store,
            secrets=ImportSecrets(sealing),
            tenants=core.tenants,
            committing=committing,
            retiring=retiring,
            journal=core.journal,
            clock=clock,
        ),
        Exporting(core.keyring, store, core.journal, clock),
        core.seal.report,
        core.seal.resealing,
        SealDropping(
            sealer=core.world.sealer,
            rows=core.world.sealed_rows,
            fleet=core.seal.fleet,
            watch=core.seal.watch,
            tenants=core.tenants,
            retiring=retiring,
            last_goods=core.rotating.last_goods,
            journal=core.journal,
            clock=clock,
        ),
    )


def _status(core: Core) -> Status:
    clock = core.world.clock
    return Status(
        keyring=core.keyring,
        health=core.health,
        marks=core.marks,
        upstreams=core.upstreams,
        usage=core.usage,
        refreshing=core.refreshing,
        tenant_sources=TenantSources(
            core.tenants.freshness, core.world.store.fault, core.world.table
        ),
        boot=core.lookout.boot,
        clock=clock,
        sealer=core.world.sealer,
        store_kind=core.world.store.kind,
        store_fault=core.world.store.fault,
        replica=Replica(core.world.replica, _version(), clock.now()),
    )


def _version() -> str:
    try:
        return version("keybroker-server")
    except PackageNotFoundError:
        return "unknown"
