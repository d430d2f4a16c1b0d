"""Receives webhooks and keeps them as they came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Received:
    """One webhook, raw."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and where it listens."""

    url: str = ""
    status: int = 200
    received: list[Received] = field(default_factory=list)


@asynccontextmanager
async def receive_webhooks() -> AsyncIterator[Receiver]:
    """A receiver on a free port; its path has a query, as a real one may."""
    receiver = Receiver()

    async def take(request: web.Request) -> web.Response:
        headers = dict(request.headers)
        receiver.received.append(Received(receiver.url, headers, await request.read()))
        return web.Response(status=receiver.status)

    app = web.Application()
    app.add_routes([web.post("/hook", take)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook?from=fake"
    try:
        yield receiver
    finally:
        await runner.cleanup()
