"""A signed post as it comes in: content type, size, signature, shape."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from gateway.bodies import BodyReader, drain
from gateway.codec import Post, read_post
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnauthenticatedError, UnsupportedMediaTypeError
from morpheus_kit.keyring import Key, Keyring
from morpheus_kit.signing import SignatureHeaders, payload_of

MEDIA_TYPE = "application/msgpack"
SIGNED: dict[str, Any] = {
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
}
"""Of a route, for OpenAPI."""
_DRAIN_BYTES = 256 * 1024 * 1024
# From this size on the walk over the bytes would hold the loop up for more than some milliseconds.
_THREAD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SignedPost:
    """A post whose signature is that of `key`, which has the scope send. `payload` is the text that was signed."""

    post: Post
    digest: bytes
    headers: SignatureHeaders
    payload: str
    key: Key


@asynccontextmanager
async def signed_post(request: Request, target: str) -> AsyncIterator[SignedPost]:
    """The post in `request`; its bytes are counted until the block ends. `target`: method and path that were signed.

    UnsupportedMediaTypeError, UnauthenticatedError, ForbiddenError, and what `BodyReader.read` and `read_post` raise.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != MEDIA_TYPE:
        await drain(request, _DRAIN_BYTES)
        raise UnsupportedMediaTypeError
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        await drain(request, _DRAIN_BYTES)
        raise UnsupportedMediaTypeError("A body must not be compressed.")
    headers = signature_headers(request)
    reader: BodyReader = request.app.state.bodies
    keyring: Keyring = request.app.state.keyring
    clock: Clock = request.app.state.clock
    async with reader.read(request) as body:
        payload = payload_of(target, body.digest)
        key = keyring.verify(headers, payload, clock.now_ms() / 1000)
        key.require_scope("send")
        yield SignedPost(await decode(body.buffer), body.digest, headers, payload, key)


def signature_headers(request: Request) -> SignatureHeaders:
    """The four headers. One that comes twice could mean two things to two readers, so it is refused."""
    headers = {name: request.headers.getlist(name) for name in SignatureHeaders("", "", "").as_dict()}
    for name, values in headers.items():
        if len(values) > 1:
            raise UnauthenticatedError(f"{name}: must be there once.")
    return SignatureHeaders.of({name: values[0] for name, values in headers.items() if values})


async def decode(buffer: io.BytesIO) -> Post:
    """The post in `buffer`. MalformedError, InvalidInputError."""
    if buffer.getbuffer().nbytes < _THREAD_BYTES:
        return read_post(buffer)
    return await asyncio.to_thread(read_post, buffer)
