"""Renderers that a test starts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from morpheus_kit.blobs import Blob, FolderStore
from tests.integration.renderer.rig import Renderer, Start, running


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts renderers."""
    async with AsyncExitStack() as stack:

        async def call(**settings: Any) -> Renderer:
            renderer: Renderer = await stack.enter_async_context(running(tmp_path, **settings))
            renderer.write("outer.html", "<main>{{ content }}</main>")
            renderer.write("inner.html", "<p>{{ x }}</p>")
            return renderer

        yield call
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
