"""Reading posts: bounded in bytes, time and in what all of them take together."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from morpheus_kit.errors import MalformedError, TooLargeError, UnavailableError

_READ_SECONDS = 120.0
_DRAIN_SECONDS = 10.0
_SHARE = 4


@dataclass(frozen=True, slots=True)
class Body:
    """A whole body in one buffer, and its SHA-256."""

    buffer: io.BytesIO
    digest: bytes


class BodyReader:
    """Reads bodies for as long as their bytes together stay below four times the limit of one."""

    def __init__(self, max_body: int) -> None:
        """`max_body` in bytes."""
        self._max_body = max_body
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Body]:
        """The body of `request`; counted until the block ends. TooLargeError, UnavailableError, MalformedError."""
        held = 0
        buffer, digest = io.BytesIO(), hashlib.sha256()
        try:
            self._check_announced(request)
            async with asyncio.timeout(_READ_SECONDS):
                async for chunk in request.stream():
                    held += len(chunk)
                    self._held += len(chunk)
                    self._check_held(held)
                    buffer.write(chunk)
                    digest.update(chunk)
            yield Body(buffer, digest.digest())
        except TooLargeError:
            buffer.close()
            await drain(request, _SHARE * self._max_body)
            raise
        except TimeoutError as exc:
            raise MalformedError(f"The body did not arrive within {_READ_SECONDS:.0f} seconds.") from exc
        except ClientDisconnect as exc:
            raise MalformedError("The client went away before the end of the body.") from exc
        finally:
            self._held -= held

    def _check_announced(self, request: Request) -> None:
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._max_body:
            raise TooLargeError(f"The body is larger than {self._max_body} bytes.")

    def _check_held(self, held: int) -> None:
        if held > self._max_body:
            raise TooLargeError(f"The body is larger than {self._max_body} bytes.")
        if self._held > _SHARE * self._max_body:
            raise UnavailableError("Too many large posts at once.", retry_after=2)


async def drain(request: Request, limit: int) -> None:
    """Reads on without keeping anything: many clients read the answer only when they have sent all."""
    seen = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in request.stream():
                seen += len(chunk)
                if seen > limit:
                    return
    except (TimeoutError, RuntimeError, ClientDisconnect):  # too slow, read before, or nobody is there any more
        return
