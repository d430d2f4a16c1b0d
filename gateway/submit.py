"""From a body to intake: the header, then recipients in chunks, each checked as it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.intake.v1 import intake_pb2

from gateway.codec import Header, Post
from gateway.services import SUBMIT_SECONDS, Services, answer
from gateway.signed import SignedPost
from morpheus_kit.errors import MorpheusError, UnavailableError
from morpheus_kit.signing import PAYLOAD_METADATA

Request = TypeVar("Request", intake_pb2.SubmitGroupRequest, intake_pb2.PreviewGroupRequest)


async def submit(services: Services, signed: SignedPost) -> intake_pb2.SubmitGroupResponse:
    """What intake says to it. Nothing is queued when this raises."""
    reply: intake_pb2.SubmitGroupResponse = await _upload(
        services.intake.SubmitGroup, intake_pb2.SubmitGroupRequest, signed
    )
    return reply


async def preview(services: Services, signed: SignedPost) -> intake_pb2.PreviewGroupResponse:
    """What would become of it."""
    reply: intake_pb2.PreviewGroupResponse = await _upload(
        services.intake.PreviewGroup, intake_pb2.PreviewGroupRequest, signed
    )
    return reply


async def _upload(method: Any, request: type[Request], signed: SignedPost) -> Any:
    metadata = tuple({**signed.headers.as_dict(), PAYLOAD_METADATA: signed.payload}.items())
    call = method(metadata=metadata, timeout=SUBMIT_SECONDS)
    broken = False
    try:
        await write_message(call, request(header=header_message(signed.post, signed.digest)))
        for message in _messages(signed.post, request):
            if not await write_message(call, message):
                broken = True
                break
        else:
            await call.done_writing()
    except BaseException:
        call.cancel()
        raise
    try:
        return await answer(call)
    except MorpheusError as exc:
        if (
            broken and type(exc) is MorpheusError
        ):  # gRPC calls a connection that is lost while writing an internal error
            raise UnavailableError("Intake went away during the upload.", retry_after=1) from exc
        raise


def _messages(post: Post, request: type[Request]) -> Iterator[Request]:
    """What follows the header; without the total at the end intake queues nothing."""
    for chunk in post.chunks():
        yield request(chunk=intake_pb2.RecipientChunk(recipients=chunk))
    yield request(total=sum(each.count for each in post.slices))


async def write_message(call: grpc.aio.StreamUnaryCall[Any, Any], message: Any) -> bool:
    """False when intake has answered already: then there is nothing to add, only an answer to read."""
    try:
        await call.write(message)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return False
    return True


def header_message(post: Post, digest: bytes) -> intake_pb2.GroupHeader:
    """The header for intake; absent keys stay absent."""
    header = post.header
    message = intake_pb2.GroupHeader(
        content_sha256=digest,
        group_id=header.group_id,
        part=header.part,
        parts=header.parts,
        company_code=header.company_code,
        method=header.method,
        outer_template=header.outer_template,
        inner_template=header.inner_template,
        subject_template=header.subject_template,
        context=post.context,
        from_address=header.from_address,
        reply_to=header.reply_to,
        tags=header.tags,
        headers=header.headers,
        priority=header.priority,
        missing_variables=header.missing_variables,
        on_uncertain=header.on_uncertain,
        unsupported=header.unsupported(),
        country_code=header.country_code,
        subaccount=header.subaccount,
        record=header.record,
        redact=header.redact or (),
        stream=header.stream,
        unsubscribe=header.unsubscribe,
    )
    _add_times(message, header)
    return message


def _add_times(message: intake_pb2.GroupHeader, header: Header) -> None:
    for name in ("send_at", "expires_at"):
        moment = getattr(header, name)
        if moment is not None:
            stamp = Timestamp()
            stamp.FromDatetime(moment)
            getattr(message, name).CopyFrom(stamp)
