"""The tracker as a whole over a real Valkey, a real file and real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub

from morpheus_kit.clock import SystemClock
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from services.tracker.app import build
from services.tracker.config import Config
from services.tracker.store.sqlite import SqliteStore
from tests.integration.tracker.rig import SECRET, Sender


@pytest.fixture
async def sender(queue: Queue) -> Sender:
    return Sender(queue)


@pytest.fixture
async def tracker(redis_url: str, queue: Queue, tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    """Starts trackers over one file, one after the other; each gives a stub."""
    stops: list[Callable[[], Any]] = []

    async def start(**more: Any) -> TrackerServiceStub:
        await stop()
        unit = await build(
            Config(
                tracker_addr="127.0.0.1:0",
                redis_url=redis_url,
                token_secret=SECRET,
                address_secret=SECRET,
                **{"records_url": f"sqlite:///{tmp_path / 'records.db'}", **more},
            )
        )
        stopping = asyncio.Event()
        serving = asyncio.create_task(unit.serve(stopping))
        server = next(part for part in unit.parts if isinstance(part, RpcServer))
        while server.port == 0:
            await asyncio.sleep(0.01)
            if serving.done():
                serving.result()
        channel = open_channel(f"127.0.0.1:{server.port}")

        async def end() -> None:
            await channel.close()
            stopping.set()
            await serving

        stops.append(end)
        return TrackerServiceStub(channel)

    async def stop() -> None:
        while stops:
            await stops.pop()()

    yield start
    await stop()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "records.db", SystemClock())
    await store.start()
    yield store
    await store.stop()
