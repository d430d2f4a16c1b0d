"""`POST /v1/groups` and `POST /v1/preview`: verify, translate, hand on."""

from __future__ import annotations

import base64
import hmac
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from morpheus.intake.v1 import intake_pb2

from gateway import shapes
from gateway.codec import Header
from gateway.config import Config
from gateway.shapes import json_response
from gateway.signed import SIGNED, signed_post
from gateway.submit import preview, submit
from morpheus_kit.clock import Clock
from morpheus_kit.keyring import Key
from morpheus_kit.reasons import docs_link
from morpheus_kit.signing import HTTP_POST, HTTP_PREVIEW

router = APIRouter(tags=["sending"])
_DASHBOARD_SECONDS = 3600


@router.post(
    "/v1/groups",
    status_code=202,
    summary="Post a group (or one part of it)",
    description="One signed msgpack map, see `docs/http-api.md`. Answers once it is durably queued.",
    openapi_extra=SIGNED,
)
async def post_group(request: Request) -> Response:
    """The whole of a post: content type, size, signature, shape; then intake decides."""
    config: Config = request.app.state.config
    clock: Clock = request.app.state.clock
    async with signed_post(request, HTTP_POST) as signed:
        reply = await submit(request.app.state.services, signed)
        content = reply_body(reply, links(signed.post.header, signed.key, config, clock.now_ms() // 1000))
    return Response(msgspec.json.encode(content), 200 if reply.replayed else 202, media_type="application/json")


@router.post(
    "/v1/preview",
    summary="See what a post would become",
    description="The same signed body, with its own path in the payload. Renders every recipient and sends nothing.",
    openapi_extra=SIGNED,
)
async def preview_group(request: Request) -> Response:
    """The whole of a post, rendered and forgotten."""
    async with signed_post(request, HTTP_PREVIEW) as signed:
        reply = await preview(request.app.state.services, signed)
    return json_response(shapes.preview(reply))


def reply_body(reply: intake_pb2.SubmitGroupResponse, links_: dict[str, str | None]) -> dict[str, Any]:
    """The JSON of 202 and 200."""
    return {
        "group_id": reply.group_id,
        "part": reply.part,
        "total": reply.total,
        "accepted": reply.accepted,
        "duplicates": reply.duplicates,
        "rejected": [
            {
                "index": item.index,
                "address": item.address,
                "reason": {"code": item.code, "text": item.text, "docs": docs_link(item.code)},
            }
            for item in reply.rejected
        ],
        "links": links_,
        "replayed": reply.replayed,
    }


def links(header: Header, key: Key, config: Config, now_s: int) -> dict[str, str | None]:
    """Where to look at the group; the dashboard's link is signed and only for keys that may read."""
    company = {"company_code": header.company_code}
    messages = urlencode({**company, "group_id": header.group_id})
    return {
        "group": f"{config.base_url}/v1/groups/{quote(header.group_id, safe='')}?{urlencode(company)}",
        "messages": f"{config.base_url}/v1/messages?{messages}",
        "dashboard": _dashboard_link(header.company_code, key, config, now_s + _DASHBOARD_SECONDS),
    }


def _dashboard_link(company_code: str, key: Key, config: Config, expires: int) -> str | None:
    if "read" not in key.scopes:
        return None
    mac = hmac.digest(key.hmac_keys[0], f"{company_code}.{key.id}.{expires}".encode(), "sha256")
    signature = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    query = urlencode({"company_code": company_code, "key": key.id, "expires": expires, "signature": signature})
    return f"{config.base_url}/dashboard?{query}"
