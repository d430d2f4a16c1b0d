"""Statistics, costs, the feed of events."""

from __future__ import annotations

from typing import Annotated, Literal

import grpc.aio
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Reader, only_parameters
from gateway.parameters import TimeParameter, timestamp
from gateway.routes.groups import Backend
from gateway.services import CALL_SECONDS, answer
from morpheus_kit.rpc.status import from_rpc_error

router = APIRouter(tags=["reports"])
_DEFAULT_FROM = "Default: 30 days before to; of hours 24."
_GROUPINGS = "`method`, `tag`; repeatable, or with commas. By tag: the 1,000 tags with the most messages."


@router.get(
    "/v1/stats",
    dependencies=[Depends(only_parameters("from", "to", "interval", "group_by"))],
    summary="Messages counted by day or hour, with rates",
)
async def get_statistics(
    caller: Reader,
    services: Backend,
    since: Annotated[
        TimeParameter, Query(alias="from", description="Default: 30 days, of hours 24, before to.")
    ] = None,
    until: Annotated[TimeParameter, Query(alias="to", description="Default: now.")] = None,
    interval: Annotated[Literal["day", "hour"], Query(description="At most 366 days, or 744 hours.")] = "day",
    group_by: Annotated[list[str], Query(description=_GROUPINGS)] = [],  # noqa: B006  FastAPI copies it
) -> Response:
    """By acceptance time, in UTC; at most 10,000 items."""
    query = tracker_pb2.GetStatisticsRequest(
        company_code=caller.company_code,
        to=timestamp("to", until),
        interval=interval,
        group_by=[name for value in group_by for name in value.split(",") if name],
        **{"from": timestamp("from", since)},
    )
    found = await answer(services.tracker.GetStatistics(query, timeout=CALL_SECONDS))
    return shapes.json_response({"items": [shapes.statistics(item) for item in found.items]})


@router.get(
    "/v1/costs",
    dependencies=[Depends(only_parameters("from", "to", "group_by"))],
    summary="What messages cost, by currency",
)
async def get_costs(
    caller: Reader,
    services: Backend,
    since: Annotated[TimeParameter, Query(alias="from")] = None,
    until: Annotated[TimeParameter, Query(alias="to")] = None,
    group_by: Literal["company", "method", "tag", "day"] = "company",
) -> Response:
    """By acceptance time; messages whose cost is known. At most 10,000 items; by tag the 1,000 largest."""
    query = tracker_pb2.GetCostsRequest(
        company_code=caller.company_code,
        to=timestamp("to", until),
        group_by=group_by,
        **{"from": timestamp("from", since)},
    )
    found = await answer(services.tracker.GetCosts(query, timeout=CALL_SECONDS))
    return shapes.json_response({"items": [shapes.cost(item) for item in found.items]})


@router.get(
    "/v1/events",
    dependencies=[Depends(only_parameters("after", "limit"))],
    summary="What changed messages, in order of recording",
)
async def get_events(
    caller: Reader,
    services: Backend,
    after: Annotated[str, Query(max_length=4096, description="`next` of the answer before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="Items of an answer.")] = 100,
) -> Response:
    """Each at least once, for 30 days; without `after` from the oldest. An empty answer: ask again later."""
    query = tracker_pb2.StreamEventsRequest(company_code=caller.company_code, after=after, limit=limit)
    items = []
    try:
        async for page in services.tracker.StreamEvents(query, timeout=CALL_SECONDS):
            items += [shapes.feed_event(item) for item in page.items]
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc
    return shapes.json_response({"items": items, "next": items[-1]["cursor"] if items else after})
