"""`POST /webhooks/{provider}`: hands a provider's webhook on as it came. The tracker has the keys and decides."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from morpheus.tracker.v1 import tracker_pb2

from gateway.bodies import BodyReader
from gateway.services import CALL_SECONDS, Services, answer

# Spoken by providers, and described in `docs/webhooks.md`; not a part of the clients' interface.
router = APIRouter(include_in_schema=False)
MAX_BODY = 16 * 1024 * 1024
Provider = Annotated[Literal["mandrill", "ses", "twilio", "bird"], Path()]
# Twilio reads the answer to a text as orders: none.
_NO_ORDERS = b"<Response/>"


@router.head("/webhooks/mandrill")
async def check_mandrill() -> Response:
    """Mandrill's check that the address is there: always 200."""
    return Response()


@router.post("/webhooks/{provider}")
async def post_webhook(provider: Provider, request: Request) -> Response:
    """200 once it is durable. The signature is over the bytes of path, query and body: nothing of them is decoded."""
    services: Services = request.app.state.services
    reader: BodyReader = request.app.state.webhook_bodies
    path, query = request.scope["raw_path"], request.scope["query_string"]
    async with reader.read(request) as body:
        inbound = tracker_pb2.IngestWebhookRequest(
            provider=provider,
            target=(path + (b"?" + query if query else b"")).decode("latin-1"),
            headers=dict(reversed(request.headers.items())),
            body=body.buffer.getvalue(),
        )
    await answer(services.tracker.IngestWebhook(inbound, timeout=CALL_SECONDS))
    return Response(_NO_ORDERS, media_type="text/xml") if provider == "twilio" else Response()
