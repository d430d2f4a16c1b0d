"""A real Valkey for the tests of this folder: append-only file, each write on the disk, its own folder and socket."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from morpheus_kit.queue.connection import open_redis
from morpheus_kit.queue.scripts import Queue
from tests.valkey import running_valkey


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a running Valkey."""
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder, running_valkey(Path(folder)) as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey."""
    client = open_redis(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def queue(redis: Redis) -> Queue:
    """Partition 0, with its consumer groups, and nobody suppressed."""
    queue = Queue(redis, 0, replicas=0, aof_always=True)
    await queue.prepare()
    await queue.suppressions_known()
    return queue
