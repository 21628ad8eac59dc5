"""The calls of AdminService that are about sealing; see the proto for what each promises."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from grpc.aio import ServicerContext

from broker.edge.grpc.auth import caller
from broker.edge.grpc.fields import check_name, check_names
from broker.edge.grpc.seal_messages import write_rotation, write_seal, write_verification
from broker.services.resealing import Resealing
from broker.services.seal_dropping import SealDropping
from broker.services.seal_report import SealReport
from keybroker.v1 import admin_pb2 as pb
from keybroker.v1 import admin_pb2_grpc


class SealRpcs(admin_pb2_grpc.AdminServiceServicer):
    """Sealing keys and what they seal."""

    seal_report: SealReport
    resealing: Resealing
    seal_dropping: SealDropping

    async def GetSeal(
        self,
        request: pb.GetSealRequest,
        context: ServicerContext[pb.GetSealRequest, pb.GetSealResponse],
    ) -> pb.GetSealResponse:
        return write_seal(await self.seal_report.now())

    async def VerifySeal(
        self,
        request: pb.VerifySealRequest,
        context: ServicerContext[pb.VerifySealRequest, pb.VerifySealResponse],
    ) -> AsyncIterator[pb.VerifySealResponse]:
        async with aclosing(self.seal_report.verify()) as news:
            async for progress in news:
                yield write_verification(progress)

    async def RotateSeal(
        self,
        request: pb.RotateSealRequest,
        context: ServicerContext[pb.RotateSealRequest, pb.RotateSealResponse],
    ) -> AsyncIterator[pb.RotateSealResponse]:
        key_id = check_name("key_id", request.key_id)
        async with aclosing(self.resealing.rotate(caller().name, key_id)) as news:
            async for progress in news:
                yield write_rotation(progress)

    async def DropSealed(
        self,
        request: pb.DropSealedRequest,
        context: ServicerContext[pb.DropSealedRequest, pb.DropSealedResponse],
    ) -> pb.DropSealedResponse:
        key_ids = check_names("sealing_key_ids", request.sealing_key_ids)
        return pb.DropSealedResponse(
            dropped_count=await self.seal_dropping.drop(caller().name, key_ids)
        )
