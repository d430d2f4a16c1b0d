"""Groups: read, watch, list, pause, resume, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import grpc.aio
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from morpheus.dispatcher.v1 import dispatcher_pb2
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Operator, Reader, only_parameters
from gateway.parameters import PageSize, PageToken, TimeParameter, timestamp
from gateway.services import CALL_SECONDS, Services, answer
from morpheus_kit.rpc.status import from_rpc_error

router = APIRouter(tags=["groups"])
GroupId = Annotated[str, Path(min_length=1, max_length=64)]
_HEARTBEAT_SECONDS = 15.0
_WATCH_SECONDS = 3600.0


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Backend = Annotated[Services, Depends(_services)]


@router.get("/v1/groups/{group_id}", dependencies=[Depends(only_parameters())], summary="One group with its counts")
async def get_group(group_id: GroupId, caller: Reader, services: Backend) -> Response:
    """Progress is exact; counts are at most two seconds behind."""
    query = tracker_pb2.GetGroupRequest(company_code=caller.company_code, group_id=group_id)
    found = await answer(services.tracker.GetGroup(query, timeout=CALL_SECONDS))
    return shapes.json_response(shapes.group(found.group))


@router.get(
    "/v1/groups",
    dependencies=[Depends(only_parameters("tag", "method", "from", "to", "page_size", "page_token"))],
    summary="Groups, newest first",
)
async def list_groups(  # noqa: PLR0913, PLR0917  one argument a query parameter
    caller: Reader,
    services: Backend,
    tag: str = "",
    method: str = "",
    since: Annotated[TimeParameter, Query(alias="from")] = None,
    until: Annotated[TimeParameter, Query(alias="to")] = None,
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """Times are acceptance times, half-open."""
    query = tracker_pb2.ListGroupsRequest(
        company_code=caller.company_code,
        tag=tag,
        method=method,
        to=timestamp("to", until),
        page_size=page_size,
        page_token=page_token,
        **{"from": timestamp("from", since)},
    )
    found = await answer(services.tracker.ListGroups(query, timeout=CALL_SECONDS))
    items = [shapes.group(item) for item in found.groups]
    return shapes.json_response({"items": items, "next_page_token": found.next_page_token})


@router.get(
    "/v1/groups/{group_id}/events",
    dependencies=[Depends(only_parameters())],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
    summary="The same body, again and again, until the group is finished",
)
async def watch_group(group_id: GroupId, caller: Reader, services: Backend, request: Request) -> Response:
    """Server-sent events. The first state is awaited, so that a refusal is an ordinary one."""
    query = tracker_pb2.WatchGroupRequest(company_code=caller.company_code, group_id=group_id)
    call = services.tracker.WatchGroup(query, timeout=_WATCH_SECONDS)
    states = aiter(call)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            first = await anext(states)
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc
    stopping: asyncio.Event = request.app.state.stopping
    return StreamingResponse(
        _events(first, states, call, stopping),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(first: Any, states: AsyncIterator[Any], call: Any, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """`data:` lines, comments in between while nothing changes; ends with the group, the client or the server."""
    yield _data(first)
    stopped = asyncio.ensure_future(stopping.wait())
    following: asyncio.Future[Any] = asyncio.ensure_future(_next(states))
    try:
        while True:
            done, _ = await asyncio.wait(
                [following, stopped], timeout=_HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if stopped in done:
                return
            if not done:
                yield b": still here\n\n"
                continue
            state = following.result()
            if state is None:
                return
            yield _data(state)
            following = asyncio.ensure_future(_next(states))
    finally:
        stopped.cancel()
        following.cancel()
        call.cancel()


async def _next(states: AsyncIterator[Any]) -> Any | None:
    """The next state, or None at the end; an error ends the stream too, and the client connects again."""
    try:
        return await anext(states)
    except (StopAsyncIteration, grpc.aio.AioRpcError):
        return None


def _data(response: tracker_pb2.WatchGroupResponse) -> bytes:
    return b"data: " + shapes.encode(shapes.group(response.group)) + b"\n\n"


@router.post("/v1/groups/{group_id}/pause", dependencies=[Depends(only_parameters())], summary="Stop handing out")
async def pause_group(group_id: GroupId, caller: Operator, services: Backend) -> Response:
    """Repeated: 200 with `stopped` 0."""
    query = dispatcher_pb2.PauseGroupRequest(company_code=caller.company_code, group_id=group_id, key_id=caller.key.id)
    return _control(await answer(services.dispatcher.PauseGroup(query, timeout=CALL_SECONDS)))


@router.post("/v1/groups/{group_id}/resume", dependencies=[Depends(only_parameters())], summary="Go on")
async def resume_group(group_id: GroupId, caller: Operator, services: Backend) -> Response:
    """A cancelled group is 409."""
    query = dispatcher_pb2.ResumeGroupRequest(company_code=caller.company_code, group_id=group_id, key_id=caller.key.id)
    return _control(await answer(services.dispatcher.ResumeGroup(query, timeout=CALL_SECONDS)))


@router.post("/v1/groups/{group_id}/cancel", dependencies=[Depends(only_parameters())], summary="End for ever")
async def cancel_group(group_id: GroupId, caller: Operator, services: Backend) -> Response:
    """`stopped` messages were waiting; none of them ever reaches a provider."""
    query = dispatcher_pb2.CancelGroupRequest(company_code=caller.company_code, group_id=group_id, key_id=caller.key.id)
    return _control(await answer(services.dispatcher.CancelGroup(query, timeout=CALL_SECONDS)))


def _control(reply: Any) -> Response:
    return shapes.json_response({"control": reply.control, "stopped": reply.stopped})
