"""Stands between a tracker and its node, and does to each request what a test asks for. In a thread of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiohttp import ClientSession, web

_TOLD = ("content-type", "x-elastic-product")


@dataclass(frozen=True)
class Fault:
    """What happens to a request; nothing of it: it goes through."""

    status: int = 0
    """Answered without the node."""
    body: str = ""
    """With this, a page, or JSON as a node answers; a JSON error of this status where it is empty."""
    lost: bool = False
    """The node does it, and the connection breaks before the answer."""
    seconds: float = 0.0
    """The node does it after so long."""
    every_second_item: int = 0
    """The status of every second document of a bulk, which the node does not get."""
    largest: int = 0
    """More bytes than these are answered 413."""
    about: bytes = b""
    """Requests whose body does not hold this go through."""


NOTHING = Fault()


class Proxy:
    """`fault` may be set at any time; `requests` counts what came."""

    def __init__(self, node: str, tls: ssl.SSLContext | None, host: str) -> None:
        self.fault = NOTHING
        self.requests = 0
        self.is_down = False
        self.url = ""
        self._node = node
        self._tls = tls
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._listening = threading.Event()

    def run(self) -> None:
        """The life of its thread."""
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def wait(self) -> None:
        """Until it listens."""
        assert self._listening.wait(10)

    def stop(self) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    def down(self) -> None:
        """Refuses connections until `up`."""
        self._on_loop(self._site.stop())
        self.fault = Fault(lost=True)
        self.is_down = True

    def up(self) -> None:
        """Takes connections again, at the same address."""
        self.fault, self.is_down = NOTHING, False
        self._on_loop(self._listen(int(self.url.rpartition(":")[2])))

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self) -> None:
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        async with ClientSession() as self._session:
            await self._listen(0)
            port = self._runner.addresses[0][1]
            self.url = f"{'https' if self._tls else 'http'}://{self._host}:{port}"
            self._listening.set()
            await self._stopping.wait()
            await self._runner.cleanup()

    async def _listen(self, port: int) -> None:
        self._site = web.TCPSite(self._runner, self._host, port, ssl_context=self._tls, reuse_address=True)
        await self._site.start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = await request.read()
        fault = self.fault if self.fault.about in body else NOTHING
        if fault.status or 0 < fault.largest < len(body):
            return _told(fault.status or 413, fault.body)
        await asyncio.sleep(fault.seconds)
        if fault.every_second_item and request.path == "/_bulk":
            return await self._bulk(request, body, fault.every_second_item)
        answer = await self._forward(request, body)
        if fault.lost and request.transport is not None:
            request.transport.abort()
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: request.headers[name] for name in ("accept", "content-type") if name in request.headers}
        url = self._node + request.raw_path
        async with self._session.request(request.method, url, data=BytesIO(body), headers=headers) as found:
            told = {name: found.headers[name] for name in _TOLD if name in found.headers}
            return web.Response(status=found.status, body=await found.read(), headers=told)

    async def _bulk(self, request: web.Request, body: bytes, status: int) -> web.Response:
        lines = body.splitlines()
        pairs = [lines[at : at + 2] for at in range(0, len(lines), 2)]
        taken = [line for pair in pairs[1::2] for line in pair]
        told: Sequence[Any] = []
        if taken:
            answer = await self._forward(request, b"\n".join(taken) + b"\n")
            assert isinstance(answer.body, bytes)
            told = json.loads(answer.body)["items"]
        full = {"status": status, "error": {"type": "es_rejected_execution_exception", "reason": "rejected"}}
        items = [told[at // 2] if at % 2 else {next(iter(json.loads(pair[0]))): full} for at, pair in enumerate(pairs)]
        return web.json_response({"errors": True, "items": items}, headers={"x-elastic-product": "Elasticsearch"})


def _told(status: int, body: str) -> web.Response:
    if body.startswith("<"):
        return web.Response(status=status, text=body, content_type="text/html")
    text = body or json.dumps({"error": {"type": "es_rejected_execution_exception", "reason": "rejected"}})
    return web.json_response(text=text, status=status, headers={"x-elastic-product": "Elasticsearch"})


@contextmanager
def running_proxy(node: str, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy on a free port of `host`; with `tls` it speaks https."""
    proxy = Proxy(node, tls, host)
    thread = threading.Thread(target=proxy.run, name="proxy")
    thread.start()
    try:
        proxy.wait()
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
