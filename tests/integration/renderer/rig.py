"""A renderer as it runs, and a client of it, for the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import msgpack
import psutil
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.lifecycle import Unit
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from services.renderer.app import build
from services.renderer.config import Config


def _png_part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes) -> bytes:
    """An image; each row of RGB triples has a zero byte before it, or whatever filter it names."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _png_part(b"IDAT", zlib.compress(rows))
        + _png_part(b"IEND", b"")
    )


PIXEL = png(1, 1, bytes(4))


class Renderer:
    """A running service with its template folder and a stub."""

    def __init__(self, unit: Unit, folder: Path, address: str, channel: grpc.aio.Channel) -> None:
        self.unit = unit
        self.folder = folder
        self.address = address
        self.channel = channel
        self._stub: renderer_pb2_grpc.RendererServiceAsyncStub = renderer_pb2_grpc.RendererServiceStub(channel)

    def write(self, path: str, content: str | bytes) -> None:
        """A file of the template store."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    async def warm(self, *paths: str) -> renderer_pb2.WarmTemplatesResponse:
        """Calls WarmTemplates."""
        return await self._stub.WarmTemplates(renderer_pb2.WarmTemplatesRequest(paths=paths), timeout=20)

    async def render(self, *recipients: dict[str, Any], **group: Any) -> list[renderer_pb2.RenderedMessage]:
        """Calls RenderMessages; answers in the order of the recipients, each exactly once."""
        return [message for chunk in await self.chunks(*recipients, **group) for message in chunk.messages]

    async def chunks(self, *recipients: dict[str, Any], **group: Any) -> list[renderer_pb2.RenderMessagesResponse]:
        """The same, as they came."""
        shared = {"outer_template": "outer.html", "inner_template": "inner.html", "subject_template": "Hi"} | group
        request = renderer_pb2.RenderMessagesRequest(group=renderer_pb2.GroupContent(**shared))
        for index, recipient in enumerate(recipients):
            fields = {"id": f"m{index}"} | recipient
            if "context" in fields:
                fields["context"] = msgpack.packb(fields["context"])
            request.messages.add(**fields)
        chunks = [chunk async for chunk in self._stub.RenderMessages(request, timeout=60)]
        ids = [message.id for chunk in chunks for message in chunk.messages]
        assert sorted(ids) == sorted(message.id for message in request.messages)
        return chunks

    def workers(self) -> list[psutil.Process]:
        """Worker processes of this service."""
        found = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                if str(self.folder.parent) in " ".join(child.cmdline()):
                    found.append(child)
        return found


@asynccontextmanager
async def running(home: Path, **settings: Any) -> AsyncIterator[Renderer]:
    """A renderer with one worker, templates and cache in folders of `home`, where `settings` say nothing else."""
    folder = home / "templates"
    folder.mkdir(exist_ok=True)
    defaults = {"render_workers": 1, "template_cache": str(home / "cache"), "templates_url": folder.as_uri()}
    unit = build(Config(renderer_addr="127.0.0.1:0", **(defaults | settings)))
    server = next(part for part in unit.parts if isinstance(part, RpcServer))
    stopping = asyncio.Event()
    task = asyncio.create_task(unit.serve(stopping))
    while not server.port and not task.done():
        await asyncio.sleep(0.01)
    address = f"127.0.0.1:{server.port}"
    channel = open_channel(address)
    try:
        yield Renderer(unit, folder, address, channel)
    finally:
        await channel.close()
        stopping.set()
        await task


Start = Callable[..., Any]


def codes(answers: list[renderer_pb2.RenderedMessage]) -> list[str]:
    return [answer.failure.code for answer in answers]
