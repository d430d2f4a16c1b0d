"""A sender over the queue."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from morpheus_kit.queue.scripts import Queue
from tests.integration.queue.rig import Rig


@pytest.fixture
def rig(queue: Queue, redis: Redis) -> Rig:
    """One sender called `me`."""
    return Rig(queue, redis)
