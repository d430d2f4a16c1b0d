"""Small JSON bodies of operations: bounded, decoded into a struct, and described."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect

from morpheus_kit.errors import InvalidInputError, MalformedError, TooLargeError

T = TypeVar("T", bound=msgspec.Struct)
_MAX_BYTES = 64 * 1024
_READ_SECONDS = 30.0


async def read_json(request: Request, shape: type[T]) -> T:
    """The body as `shape`. MalformedError when it is no JSON, InvalidInputError when it is another shape."""
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise TooLargeError(f"The body is larger than {_MAX_BYTES} bytes.")
    except TimeoutError as exc:
        raise MalformedError(f"The body did not arrive within {_READ_SECONDS:.0f} seconds.") from exc
    except ClientDisconnect as exc:
        raise MalformedError("The client went away before the end of the body.") from exc
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as exc:
        reason, _, place = str(exc).partition(" - at `$")
        raise InvalidInputError.of(place.strip("`.") or "body", reason) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise MalformedError("The body must be one JSON object.") from exc


def json_body(name: str) -> dict[str, Any]:
    """The part of the OpenAPI document that says so; `name` is a shape of `gateway.interface`."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
