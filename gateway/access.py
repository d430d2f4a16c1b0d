"""One log line a request, with the route's template and never a path value or query; request ids."""

from __future__ import annotations

import secrets
import time
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from morpheus_kit import logs

log = logs.get_logger(__name__)
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_HEADER = b"x-request-id"


def request_id() -> str:
    """The id of the request under way."""
    return _request_id.get()


class AccessLog:
    """ASGI middleware, outermost but for the server's own error handling."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is what answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gives the request an id and logs how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = f"req_{secrets.token_hex(12)}"
        _request_id.set(identifier)
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, identifier.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            log.info(
                "http_request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", "(none)"),
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
                request_id=identifier,
            )
