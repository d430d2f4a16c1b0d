"""`/healthz`: the process lives. `/readyz`: everything behind it serves too."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.services import Services
from gateway.shapes import json_response

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Alive")
async def healthz() -> Response:
    """Always 200."""
    return json_response({"status": "ok"})


@router.get("/readyz", summary="Ready", responses={503: {"description": "A service does not serve; it is named."}})
async def readyz(request: Request) -> Response:
    """200 when intake, tracker, dispatcher and renderer serve, else 503."""
    services: Services = request.app.state.services
    health = await services.health()
    ready = all(health.values())
    body = {
        "status": "ready" if ready else "unready",
        "services": {name: "serving" if serves else "not_serving" for name, serves in health.items()},
    }
    return json_response(body, 200 if ready else 503)
