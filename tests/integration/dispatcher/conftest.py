"""A dispatcher over the queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from morpheus_kit.queue.scripts import Queue

pytest.register_assert_rewrite("tests.integration.dispatcher.rig")

from tests.integration.dispatcher.rig import FakeRenderer, Rig, serve  # noqa: E402  after the line above


@pytest.fixture
async def rig(queue: Queue, redis_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """A dispatcher that can be started, with a short lease; its renderer runs."""
    renderer = FakeRenderer()
    async with serve(renderer) as port:
        environ = {
            "dispatcher_addr": "127.0.0.1:0",
            "renderer_addr": f"127.0.0.1:{port}",
            "redis_url": redis_url,
            "outbox": str(tmp_path / "outbox"),
            "address_secret": "a secret of sixteen",
            "lease": "1",
            "grace": "5",
        }
        yield Rig(queue, renderer, tmp_path / "outbox", environ)
