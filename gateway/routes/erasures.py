"""Erasing a person."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Operator, only_parameters
from gateway.json_bodies import json_body, read_json
from gateway.routes.groups import Backend
from gateway.services import ERASE_SECONDS, answer

router = APIRouter(tags=["privacy"])


class NewErasure(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted."""

    address: str


@router.post(
    "/v1/erasures",
    dependencies=[Depends(only_parameters())],
    summary="Erase a person of a company in all stores",
    openapi_extra=json_body("NewErasure"),
)
async def erase(caller: Operator, services: Backend, request: Request) -> Response:
    """Repeated it does what is left. What waits for this address is not sent; what is posted afterwards is."""
    new = await read_json(request, NewErasure)
    query = tracker_pb2.EraseAddressRequest(company_code=caller.company_code, address=new.address)
    found = await answer(services.tracker.EraseAddress(query, timeout=ERASE_SECONDS))
    return shapes.json_response({"erased": dict(sorted(found.erased.items()))})
