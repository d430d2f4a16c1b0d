"""IntakeService over gRPC: translate, call, translate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
from morpheus.intake.v1 import intake_pb2, intake_pb2_grpc

from morpheus_kit import logs
from morpheus_kit.errors import DeadlineError
from services.intake.submission import Intake

log = logs.get_logger(__name__)
_LONGEST_SECONDS = 300.0


class IntakeServicer(intake_pb2_grpc.IntakeServiceServicer):
    """Adapter of `Intake`."""

    def __init__(self, intake: Intake) -> None:
        """`intake` does the work."""
        self._intake = intake

    async def SubmitGroup(
        self,
        request_iterator: AsyncIterator[intake_pb2.SubmitGroupRequest],
        context: grpc.aio.ServicerContext[intake_pb2.SubmitGroupRequest, intake_pb2.SubmitGroupResponse],
    ) -> intake_pb2.SubmitGroupResponse:
        """One upload, whole or not at all."""
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            async with asyncio.timeout(min(_LONGEST_SECONDS, context.time_remaining() or _LONGEST_SECONDS)):
                response = await self._intake.submit(aiter(request_iterator), metadata)
        except TimeoutError as exc:
            raise DeadlineError from exc
        log.info(
            "part_accepted",
            group_id=response.group_id,
            part=response.part,
            total=response.total,
            rejected=len(response.rejected),
            replayed=response.replayed,
        )
        return response
