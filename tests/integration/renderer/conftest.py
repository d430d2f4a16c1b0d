"""Renderers that a test starts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from morpheus_kit.blobs import Blob, FolderStore
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from services.renderer.app import build
from services.renderer.config import Config
from tests.integration.renderer.rig import Renderer, Start


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts renderers."""
    stops: list[tuple[asyncio.Event, asyncio.Task[None], grpc.aio.Channel]] = []

    async def call(**settings: Any) -> Renderer:
        folder = tmp_path / "templates"
        folder.mkdir(exist_ok=True)
        defaults = {"render_workers": 1, "template_cache": str(tmp_path / "cache"), "templates_url": folder.as_uri()}
        unit = build(Config(renderer_addr="127.0.0.1:0", **(defaults | settings)))
        server = next(part for part in unit.parts if isinstance(part, RpcServer))
        stopping = asyncio.Event()
        task = asyncio.create_task(unit.serve(stopping))
        while not server.port and not task.done():
            await asyncio.sleep(0.01)
        channel = open_channel(f"127.0.0.1:{server.port}")
        stops.append((stopping, task, channel))
        renderer = Renderer(unit, folder, channel)
        renderer.write("outer.html", "<main>{{ content }}</main>")
        renderer.write("inner.html", "<p>{{ x }}</p>")
        return renderer

    yield call
    for stopping, task, channel in stops:
        await channel.close()
        stopping.set()
        await task
    assert not list((tmp_path / "cache").glob("*")), "the cache folder is left behind"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read from the store."""
    counted: Counter[str] = Counter()
    plain = FolderStore.read

    async def call(self: FolderStore, path: str, limit: int, pinned: str = "") -> Blob:
        counted[path] += 1
        await asyncio.sleep(0.05)  # as far as S3: those who want the same meanwhile must wait for it
        return await plain(self, path, limit, pinned)

    monkeypatch.setattr(FolderStore, "read", call)
    return counted
