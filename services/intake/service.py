"""IntakeService over gRPC: translate, call, translate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
from morpheus.intake.v1 import intake_pb2, intake_pb2_grpc

from morpheus_kit import logs
from morpheus_kit.errors import DeadlineError, MorpheusError
from services.intake.preview import Previews
from services.intake.resubmission import resubmit
from services.intake.submission import Intake

log = logs.get_logger(__name__)
_LONGEST_SECONDS = 300.0
_DRAIN_BYTES = 128 * 1024 * 1024
_DRAIN_SECONDS = 10.0


class IntakeServicer(intake_pb2_grpc.IntakeServiceServicer):
    """Adapter of `Intake` and `Previews`."""

    def __init__(self, intake: Intake, previews: Previews) -> None:
        """They do the work."""
        self._intake = intake
        self._previews = previews

    async def SubmitGroup(
        self,
        request_iterator: AsyncIterator[intake_pb2.SubmitGroupRequest],
        context: grpc.aio.ServicerContext[intake_pb2.SubmitGroupRequest, intake_pb2.SubmitGroupResponse],
    ) -> intake_pb2.SubmitGroupResponse:
        """One upload, whole or not at all."""
        requests = aiter(request_iterator)
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            async with asyncio.timeout(min(_LONGEST_SECONDS, context.time_remaining() or _LONGEST_SECONDS)):
                try:
                    response = await self._intake.submit(requests, metadata)
                except MorpheusError:
                    await _drain(requests)
                    raise
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

    async def PreviewGroup(
        self,
        request_iterator: AsyncIterator[intake_pb2.PreviewGroupRequest],
        context: grpc.aio.ServicerContext[intake_pb2.PreviewGroupRequest, intake_pb2.PreviewGroupResponse],
    ) -> intake_pb2.PreviewGroupResponse:
        """One upload, looked at."""
        requests = aiter(request_iterator)
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            async with asyncio.timeout(min(_LONGEST_SECONDS, context.time_remaining() or _LONGEST_SECONDS)):
                try:
                    return await self._previews.preview(requests, metadata)
                except MorpheusError:
                    await _drain(requests)
                    raise
        except TimeoutError as exc:
            raise DeadlineError from exc

    async def ResubmitMessages(
        self,
        request_iterator: AsyncIterator[intake_pb2.ResubmitMessagesRequest],
        context: grpc.aio.ServicerContext[intake_pb2.ResubmitMessagesRequest, intake_pb2.ResubmitMessagesResponse],
    ) -> intake_pb2.ResubmitMessagesResponse:
        """Messages again, as a new group."""
        requests = aiter(request_iterator)
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            async with asyncio.timeout(min(_LONGEST_SECONDS, context.time_remaining() or _LONGEST_SECONDS)):
                try:
                    response = await resubmit(self._intake, requests, metadata)
                finally:
                    await _drain(requests)
        except TimeoutError as exc:
            raise DeadlineError from exc
        log.info("messages_sent_again", group_id=response.group_id, total=response.total, replayed=response.replayed)
        return response


async def _drain(
    requests: AsyncIterator[intake_pb2.SubmitGroupRequest]
    | AsyncIterator[intake_pb2.PreviewGroupRequest]
    | AsyncIterator[intake_pb2.ResubmitMessagesRequest],
) -> None:
    """Reads on without looking: a client that is still writing when the call ends would lose our answer."""
    seen = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for request in requests:
                seen += request.ByteSize()
                if seen > _DRAIN_BYTES:
                    return
    except TimeoutError:
        return
