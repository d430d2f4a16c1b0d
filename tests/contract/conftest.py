"""Gateway and intake as they are wired in production, in one process, over a real gRPC and a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from morpheus_kit.queue.connection import open_redis
from tests.contract.stack import Stack, running
from tests.integration.conftest import redis_url  # noqa: F401  the same Valkey for both folders


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:  # noqa: F811  a fixture that asks for a fixture
    """A client of an empty Valkey."""
    client = open_redis(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def stack(redis: Redis, redis_url: str, tmp_path: Path) -> AsyncIterator[Stack]:  # noqa: F811  as above
    """Everything that answers a post, with the records and the control words of a fake."""
    async with running(redis, redis_url, tmp_path) as made:
        yield made
