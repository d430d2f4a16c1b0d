"""Messages sent again: what they were made of goes from the tracker to intake, as a new group."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import Annotated, Any

import grpc.aio
import msgspec
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from morpheus.intake.v1 import intake_pb2
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Operator, only_parameters
from gateway.routes.groups import Backend, GroupId
from gateway.routes.messages import MessageId
from gateway.services import SUBMIT_SECONDS, Services, answer
from gateway.submit import write_message
from morpheus_kit import ids
from morpheus_kit.errors import InvalidInputError, MorpheusError, NotFoundError, TooLargeError
from morpheus_kit.rpc.status import from_rpc_error

router = APIRouter(tags=["operating"])
IdempotencyKey = Annotated[
    str | None,
    Header(pattern=r"^[!-~]{1,128}$", description="The same key is answered the same, and nothing is sent twice."),
]
_MOST_BYTES = 64 * 1024


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a retry."""

    states: list[str] = []
    reasons: list[str] = []


@router.post(
    "/v1/messages/{message_id}/resend",
    status_code=202,
    dependencies=[Depends(only_parameters())],
    summary="Send one message again",
)
async def resend_message(
    request: Request,
    message_id: MessageId,
    caller: Operator,
    services: Backend,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """As a new message of a new group, from what the first one was made of."""
    header = _header(caller.company_code, f"messages/{message_id.lower()}", idempotency_key, b"")
    header.operation = "resent"
    query = tracker_pb2.ReadInputsRequest(company_code=caller.company_code, message_id=message_id)
    reply = await _resubmit(services, request, header, query)
    new_id = ids.message_id(caller.company_code, reply.group_id, 0, 0)
    return shapes.json_response({"id": new_id, "group_id": reply.group_id}, 202)


@router.post(
    "/v1/groups/{group_id}/retry",
    status_code=202,
    dependencies=[Depends(only_parameters())],
    summary="Send messages of a group again",
)
async def retry_group(
    request: Request, group_id: GroupId, caller: Operator, services: Backend, idempotency_key: IdempotencyKey = None
) -> Response:
    """Those in one of `states` (default: failed) with one of `reasons` (default: any), as a new group."""
    wanted = await _body(request)
    header = _header(caller.company_code, f"groups/{group_id}", idempotency_key, msgspec.msgpack.encode(wanted))
    header.operation = "retried"
    query = tracker_pb2.ReadInputsRequest(
        company_code=caller.company_code, group_id=group_id, states=wanted.states, reasons=wanted.reasons
    )
    reply = await _resubmit(services, request, header, query)
    return shapes.json_response({"group_id": reply.group_id, "total": reply.total}, 202)


async def _body(request: Request) -> Retry:
    """Sorted, so that the same wish has the same digest; `failed` is the same as nothing."""
    if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
        raise TooLargeError
    body = await request.body()
    try:
        wanted = msgspec.json.decode(body or b"{}", type=Retry)
    except msgspec.MsgspecError as exc:
        raise InvalidInputError.of("body", f"must be a JSON object of states and reasons: {exc}") from exc
    return Retry(sorted(set(wanted.states)) or ["failed"], sorted(set(wanted.reasons)))


def _header(company: str, source: str, key: str | None, body: bytes) -> intake_pb2.ResubmitHeader:
    return intake_pb2.ResubmitHeader(
        company_code=company,
        group_id=ids.repeat_group_id(company, source, key or secrets.token_hex(16)),
        request_sha256=hashlib.sha256(source.encode() + b"\n" + body).digest(),
    )


async def _resubmit(
    services: Services, request: Request, header: intake_pb2.ResubmitHeader, query: tracker_pb2.ReadInputsRequest
) -> intake_pb2.ResubmitMessagesResponse:
    """What intake says. A repeated request is answered also when the records have nothing to give any more."""
    metadata = (("authorization", request.headers["authorization"]),)
    call = services.intake.ResubmitMessages(metadata=metadata, timeout=SUBMIT_SECONDS)
    inputs = services.tracker.ReadInputs(query, timeout=SUBMIT_SECONDS)
    refusal: MorpheusError | None = None
    total = 0
    try:
        await write_message(call, intake_pb2.ResubmitMessagesRequest(header=header))
        try:
            async for part in inputs:
                content = intake_pb2.ResubmitInputs(shared=part.shared, messages=part.messages)
                if not await write_message(call, intake_pb2.ResubmitMessagesRequest(inputs=content)):
                    break
                total += len(part.messages)
        except grpc.aio.AioRpcError as exc:
            refusal = from_rpc_error(exc)
            if total:
                raise refusal from exc
        await _end(call, total)
        return await _answer(call, refusal)
    finally:
        # Whatever was answered, neither goes on; to end a call that has ended does nothing.
        inputs.cancel()
        call.cancel()


async def _end(call: grpc.aio.StreamUnaryCall[Any, Any], total: int) -> None:
    """Only what was announced whole is queued."""
    try:
        if total:
            await write_message(call, intake_pb2.ResubmitMessagesRequest(total=total))
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it has answered already
        return


async def _answer(
    call: grpc.aio.StreamUnaryCall[Any, intake_pb2.ResubmitMessagesResponse], refusal: MorpheusError | None
) -> intake_pb2.ResubmitMessagesResponse:
    """Without inputs intake can only answer what it answered before."""
    try:
        return await answer(call)
    except NotFoundError as exc:
        raise refusal or exc from exc
