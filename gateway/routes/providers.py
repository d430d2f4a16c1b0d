"""Providers: how each stands, pause, resume."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from morpheus.dispatcher.v1 import dispatcher_pb2

from gateway import shapes
from gateway.auth import Administrator, administrator, only_parameters
from gateway.routes.groups import Backend
from gateway.services import CALL_SECONDS, answer

router = APIRouter(tags=["providers"])
Name = Annotated[str, Path(min_length=1, max_length=64)]


@router.get(
    "/v1/providers",
    dependencies=[Depends(only_parameters()), Depends(administrator)],
    summary="All that are configured",
)
async def list_providers(services: Backend) -> Response:
    """In the order in which they are tried."""
    found = await answer(services.dispatcher.ListProviders(dispatcher_pb2.ListProvidersRequest(), timeout=CALL_SECONDS))
    items = [shapes.provider(item) for item in found.providers]
    return shapes.json_response({"items": items, "next_page_token": ""})


@router.post(
    "/v1/providers/{name}/pause", dependencies=[Depends(only_parameters())], summary="Let nothing more go to it"
)
async def pause_provider(name: Name, caller: Administrator, services: Backend) -> Response:
    """For all methods and dispatchers, until it is resumed. Repeated: the same answer."""
    query = dispatcher_pb2.PauseProviderRequest(name=name, key_id=caller.key.id)
    reply = await answer(services.dispatcher.PauseProvider(query, timeout=CALL_SECONDS))
    return shapes.json_response(shapes.provider(reply.provider))


@router.post(
    "/v1/providers/{name}/resume", dependencies=[Depends(only_parameters())], summary="Forget what holds it back"
)
async def resume_provider(name: Name, caller: Administrator, services: Backend) -> Response:
    """A pause, an open breaker, a throttling. Repeated: the same answer."""
    query = dispatcher_pb2.ResumeProviderRequest(name=name, key_id=caller.key.id)
    reply = await answer(services.dispatcher.ResumeProvider(query, timeout=CALL_SECONDS))
    return shapes.json_response(shapes.provider(reply.provider))
