"""AdminService: see the proto for what each call promises."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from grpc.aio import ServicerContext

from broker.edge.grpc.admin_messages import (
    read_event_filter,
    read_family,
    read_key_filter,
    read_reason,
    read_revoked,
    write_events,
    write_keys,
    write_probe,
    write_reading,
)
from broker.edge.grpc.auth import caller
from broker.edge.grpc.fields import check_name, check_names, require_name
from broker.edge.grpc.key_messages import read_change, read_new_key, read_secret, write_key
from broker.edge.grpc.policy_messages import (
    read_fall_through,
    read_mode,
    write_policies,
    write_policy,
)
from broker.edge.grpc.seal_rpcs import SealRpcs
from broker.edge.grpc.shared_messages import (
    read_page,
    read_scope,
    write_circuit,
    write_disabled_upstream,
)
from broker.edge.grpc.times import timestamp
from broker.edge.grpc.transfer_rpcs import TransferRpcs
from broker.services.administration import Administration
from broker.services.clearing import Clearing
from broker.services.exporting import Exporting
from broker.services.importing import Importing
from broker.services.inventory import Inventory
from broker.services.keeping import Keeping
from broker.services.policies import Policies
from broker.services.resealing import Resealing
from broker.services.seal_dropping import SealDropping
from broker.services.seal_report import SealReport
from broker.services.upkeep import Upkeep
from keybroker.v1 import admin_pb2 as pb


@dataclass(frozen=True, slots=True)
class AdminServicer(TransferRpcs, SealRpcs):
    """The operators' service."""

    administration: Administration
    clearing: Clearing
    inventory: Inventory
    upkeep: Upkeep
    keeping: Keeping
    policies: Policies
    importing: Importing
    exporting: Exporting
    seal_report: SealReport
    resealing: Resealing
    seal_dropping: SealDropping

    async def ListKeys(
        self,
        request: pb.ListKeysRequest,
        context: ServicerContext[pb.ListKeysRequest, pb.ListKeysResponse],
    ) -> pb.ListKeysResponse:
        return write_keys(await self.inventory.keys(read_key_filter(request), read_page(request)))

    async def GetKey(
        self,
        request: pb.GetKeyRequest,
        context: ServicerContext[pb.GetKeyRequest, pb.GetKeyResponse],
    ) -> pb.GetKeyResponse:
        key_id = require_name("key_id", request.key_id)
        return pb.GetKeyResponse(key=write_key(await self.inventory.key(key_id)))

    async def CreateKey(
        self,
        request: pb.CreateKeyRequest,
        context: ServicerContext[pb.CreateKeyRequest, pb.CreateKeyResponse],
    ) -> pb.CreateKeyResponse:
        kept = await self.keeping.create(caller().name, read_new_key(request))
        return pb.CreateKeyResponse(key=write_key(await self.inventory.show(kept)))

    async def UpdateKey(
        self,
        request: pb.UpdateKeyRequest,
        context: ServicerContext[pb.UpdateKeyRequest, pb.UpdateKeyResponse],
    ) -> pb.UpdateKeyResponse:
        key_id = require_name("key_id", request.key_id)
        change, fields = read_change(request)
        kept = await self.keeping.update(caller().name, key_id, change, fields)
        return pb.UpdateKeyResponse(key=write_key(await self.inventory.show(kept)))

    async def RotateKey(
        self,
        request: pb.RotateKeyRequest,
        context: ServicerContext[pb.RotateKeyRequest, pb.RotateKeyResponse],
    ) -> pb.RotateKeyResponse:
        key_id = require_name("key_id", request.key_id)
        kept = await self.keeping.rotate(caller().name, key_id, read_secret(request.secret))
        return pb.RotateKeyResponse(key=write_key(await self.inventory.show(kept)))

    async def DeleteKey(
        self,
        request: pb.DeleteKeyRequest,
        context: ServicerContext[pb.DeleteKeyRequest, pb.DeleteKeyResponse],
    ) -> pb.DeleteKeyResponse:
        await self.keeping.delete(caller().name, require_name("key_id", request.key_id))
        return pb.DeleteKeyResponse()

    async def GetTenantPolicy(
        self,
        request: pb.GetTenantPolicyRequest,
        context: ServicerContext[pb.GetTenantPolicyRequest, pb.GetTenantPolicyResponse],
    ) -> pb.GetTenantPolicyResponse:
        tenant = require_name("tenant_id", request.tenant_id)
        provider = check_name("provider", request.provider)
        return write_policies(await self.policies.of(tenant, provider))

    async def SetTenantPolicy(
        self,
        request: pb.SetTenantPolicyRequest,
        context: ServicerContext[pb.SetTenantPolicyRequest, pb.SetTenantPolicyResponse],
    ) -> pb.SetTenantPolicyResponse:
        policy = await self.policies.put(
            caller().name,
            require_name("tenant_id", request.tenant_id),
            require_name("provider", request.provider),
            read_mode(request),
            read_fall_through(request),
        )
        return pb.SetTenantPolicyResponse(policy=write_policy(policy))

    async def DisableKey(
        self,
        request: pb.DisableKeyRequest,
        context: ServicerContext[pb.DisableKeyRequest, pb.DisableKeyResponse],
    ) -> pb.DisableKeyResponse:
        key_id = require_name("key_id", request.key_id)
        reason = read_reason(request.reason)
        await self.administration.disable_key(caller().name, key_id, reason)
        return pb.DisableKeyResponse(key=write_key(await self.inventory.key(key_id)))

    async def EnableKey(
        self,
        request: pb.EnableKeyRequest,
        context: ServicerContext[pb.EnableKeyRequest, pb.EnableKeyResponse],
    ) -> pb.EnableKeyResponse:
        key_id = require_name("key_id", request.key_id)
        await self.administration.enable_key(caller().name, key_id)
        return pb.EnableKeyResponse(key=write_key(await self.inventory.key(key_id)))

    async def ClearCircuit(
        self,
        request: pb.ClearCircuitRequest,
        context: ServicerContext[pb.ClearCircuitRequest, pb.ClearCircuitResponse],
    ) -> pb.ClearCircuitResponse:
        scope, family = read_scope(request.scope), read_family(request)
        cleared = await self.clearing.clear(caller().name, scope, family)
        return pb.ClearCircuitResponse(cleared=[write_circuit(view) for view in cleared])

    async def DisableUpstream(
        self,
        request: pb.DisableUpstreamRequest,
        context: ServicerContext[pb.DisableUpstreamRequest, pb.DisableUpstreamResponse],
    ) -> pb.DisableUpstreamResponse:
        mark = await self.administration.disable_upstream(
            caller().name,
            require_name("provider", request.provider),
            check_name("model", request.model),
            read_reason(request.reason),
        )
        return pb.DisableUpstreamResponse(upstream=write_disabled_upstream(mark))

    async def EnableUpstream(
        self,
        request: pb.EnableUpstreamRequest,
        context: ServicerContext[pb.EnableUpstreamRequest, pb.EnableUpstreamResponse],
    ) -> pb.EnableUpstreamResponse:
        provider = require_name("provider", request.provider)
        model = check_name("model", request.model)
        await self.administration.enable_upstream(caller().name, provider, model)
        return pb.EnableUpstreamResponse()

    async def RevokeLeases(
        self,
        request: pb.RevokeLeasesRequest,
        context: ServicerContext[pb.RevokeLeasesRequest, pb.RevokeLeasesResponse],
    ) -> pb.RevokeLeasesResponse:
        kind, subject = read_revoked(request)
        reason = read_reason(request.reason)
        mark = await self.administration.revoke(caller().name, kind, subject, reason)
        return pb.RevokeLeasesResponse(not_before=timestamp(mark.at))

    async def ProbeKeys(
        self,
        request: pb.ProbeKeysRequest,
        context: ServicerContext[pb.ProbeKeysRequest, pb.ProbeKeysResponse],
    ) -> AsyncIterator[pb.ProbeKeysResponse]:
        provider = check_name("provider", request.provider)
        key_ids = check_names("key_ids", request.key_ids)
        async with aclosing(self.upkeep.probe(provider, key_ids)) as probes:
            async for done in probes:
                yield write_probe(done)

    async def RefreshKeys(
        self,
        request: pb.RefreshKeysRequest,
        context: ServicerContext[pb.RefreshKeysRequest, pb.RefreshKeysResponse],
    ) -> pb.RefreshKeysResponse:
        readings = await self.upkeep.refresh()
        return pb.RefreshKeysResponse(sources=[write_reading(reading) for reading in readings])

    async def ListEvents(
        self,
        request: pb.ListEventsRequest,
        context: ServicerContext[pb.ListEventsRequest, pb.ListEventsResponse],
    ) -> pb.ListEventsResponse:
        wanted = read_event_filter(request)
        return write_events(await self.inventory.events(wanted, read_page(request)))
