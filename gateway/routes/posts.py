"""`POST /v1/groups`: verify, translate, hand on."""

from __future__ import annotations

import base64
import hmac
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from morpheus.intake.v1 import intake_pb2

from gateway.bodies import BodyReader, drain
from gateway.codec import Header
from gateway.config import Config
from gateway.services import Services
from gateway.submit import decode, submit
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnauthenticatedError, UnsupportedMediaTypeError
from morpheus_kit.keyring import Key, Keyring
from morpheus_kit.reasons import docs_link
from morpheus_kit.signing import HTTP_POST, SignatureHeaders, payload_of

router = APIRouter(tags=["sending"])
MEDIA_TYPE = "application/msgpack"
_DRAIN_BYTES = 256 * 1024 * 1024
_DASHBOARD_SECONDS = 3600


@router.post(
    "/v1/groups",
    status_code=202,
    summary="Post a group (or one part of it)",
    description="One signed msgpack map, see `docs/http-api.md`. Answers once it is durably queued.",
    openapi_extra={
        "requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        "parameters": [
            {"name": name, "in": "header", "required": required, "schema": {"type": "string"}}
            for name, required in (
                ("webhook-id", True),
                ("webhook-timestamp", True),
                ("webhook-signature", True),
                ("morpheus-key", False),
            )
        ],
    },
)
async def post_group(request: Request) -> Response:
    """The whole of a post: content type, size, signature, shape; then intake decides."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != MEDIA_TYPE:
        await drain(request, _DRAIN_BYTES)
        raise UnsupportedMediaTypeError
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        await drain(request, _DRAIN_BYTES)
        raise UnsupportedMediaTypeError("A body must not be compressed.")
    signed = signature_headers(request)
    reader: BodyReader = request.app.state.bodies
    keyring: Keyring = request.app.state.keyring
    services: Services = request.app.state.services
    clock: Clock = request.app.state.clock
    async with reader.read(request) as body:
        payload = payload_of(HTTP_POST, body.digest)
        key = keyring.verify(signed, payload, clock.now_ms() / 1000)
        key.require_scope("send")
        post = await decode(body.buffer)
        reply = await submit(services, post, body.digest, signed, payload)
    config: Config = request.app.state.config
    content = reply_body(reply, links(post.header, key, config, clock.now_ms() // 1000))
    return Response(msgspec.json.encode(content), 200 if reply.replayed else 202, media_type="application/json")


def signature_headers(request: Request) -> SignatureHeaders:
    """The four headers. One that comes twice could mean two things to two readers, so it is refused."""
    headers = {name: request.headers.getlist(name) for name in SignatureHeaders("", "", "").as_dict()}
    for name, values in headers.items():
        if len(values) > 1:
            raise UnauthenticatedError(f"{name}: must be there once.")
    return SignatureHeaders.of({name: values[0] for name, values in headers.items() if values})


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
