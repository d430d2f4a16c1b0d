"""Suppressed addresses: read, add, remove."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Operator, only_parameters
from gateway.json_bodies import json_body, read_json
from gateway.parameters import PageSize, PageToken
from gateway.routes.groups import Backend
from gateway.services import CALL_SECONDS, answer

router = APIRouter(tags=["suppressions"])


class NewSuppression(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted."""

    address: str
    stream: str | None = None
    reason: str | None = None


@router.get(
    "/v1/suppressions",
    dependencies=[Depends(only_parameters("address", "page_size", "page_token"))],
    summary="Suppressed addresses, newest first",
)
async def list_suppressions(
    caller: Operator,
    services: Backend,
    address: Annotated[str, Query(max_length=320, description="Only of this address.")] = "",
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> Response:
    """Hard bounces, complaints and opt-outs come here by themselves."""
    query = tracker_pb2.ListSuppressionsRequest(
        company_code=caller.company_code, address=address, page_size=page_size, page_token=page_token
    )
    found = await answer(services.tracker.ListSuppressions(query, timeout=CALL_SECONDS))
    items = [shapes.suppression(item) for item in found.suppressions]
    return shapes.json_response({"items": items, "next_page_token": found.next_page_token})


@router.post(
    "/v1/suppressions",
    status_code=201,
    dependencies=[Depends(only_parameters())],
    summary="Send nothing more to an address",
    openapi_extra=json_body("NewSuppression"),
)
async def add_suppression(caller: Operator, services: Backend, request: Request) -> Response:
    """Without `stream` in every stream. Repeated: 200, and nothing changes."""
    new = await read_json(request, NewSuppression)
    query = tracker_pb2.AddSuppressionRequest(
        company_code=caller.company_code, address=new.address, stream=new.stream or "", reason=new.reason or ""
    )
    found = await answer(services.tracker.AddSuppression(query, timeout=CALL_SECONDS))
    return shapes.json_response(shapes.suppression(found.suppression), 201 if found.created else 200)


@router.delete(
    "/v1/suppressions",
    dependencies=[Depends(only_parameters("address", "stream"))],
    summary="Let messages go to an address again",
)
async def remove_suppression(
    caller: Operator,
    services: Backend,
    address: Annotated[str, Query(max_length=320)],
    stream: Annotated[str, Query(description="Only from the list of this stream.")] = "",
) -> Response:
    """Without `stream` in every stream. 200 also when there was nothing to remove."""
    query = tracker_pb2.RemoveSuppressionRequest(company_code=caller.company_code, address=address, stream=stream)
    found = await answer(services.tracker.RemoveSuppression(query, timeout=CALL_SECONDS))
    return shapes.json_response({"removed": found.removed})
