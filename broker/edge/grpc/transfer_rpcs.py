"""The part of AdminService that takes keys in and gives them out by the thousand."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from grpc.aio import ServicerContext

from broker.edge.grpc.auth import caller
from broker.edge.grpc.fields import check_name
from broker.edge.grpc.transfer_messages import read_part, write_exported, write_progress
from broker.services.exporting import Exporting
from broker.services.import_lines import ImportPart
from broker.services.importing import Importing
from keybroker.v1 import admin_pb2 as pb
from keybroker.v1 import admin_pb2_grpc

MAX_EXPORTED_KEYS: Final = 200
MAX_EXPORTED_BYTES: Final = 1024 * 1024
"""A message of an export is sent before it has more: clients take 4 MiB unless told otherwise."""


class TransferRpcs(admin_pb2_grpc.AdminServiceServicer):
    """ImportKeys and ExportKeys."""

    importing: Importing
    exporting: Exporting

    async def ImportKeys(
        self,
        request_iterator: AsyncIterator[pb.ImportKeysRequest],
        context: ServicerContext[pb.ImportKeysRequest, pb.ImportKeysResponse],
    ) -> AsyncIterator[pb.ImportKeysResponse]:
        async def parts() -> AsyncIterator[ImportPart]:
            async for request in request_iterator:
                yield read_part(request)

        async with aclosing(self.importing.run(caller().name, parts())) as answers:
            async for progress in answers:
                yield write_progress(progress)

    async def ExportKeys(
        self,
        request: pb.ExportKeysRequest,
        context: ServicerContext[pb.ExportKeysRequest, pb.ExportKeysResponse],
    ) -> AsyncIterator[pb.ExportKeysResponse]:
        provider = check_name("provider", request.provider)
        tenant = check_name("tenant_id", request.tenant_id)
        answer, size = pb.ExportKeysResponse(), 0
        async with aclosing(self.exporting.keys(caller().name, provider, tenant)) as keys:
            async for key in keys:
                exported = write_exported(key)
                size += exported.ByteSize()
                is_full = size > MAX_EXPORTED_BYTES or len(answer.keys) == MAX_EXPORTED_KEYS
                if answer.keys and is_full:
                    yield answer
                    answer, size = pb.ExportKeysResponse(), exported.ByteSize()
                answer.keys.append(exported)
        if answer.keys:
            yield answer
