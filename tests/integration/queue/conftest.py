"""A sender over the queue."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from morpheus_kit.queue.scripts import Queue

pytest.register_assert_rewrite("tests.integration.queue.simulator", "tests.integration.queue.rig")

from tests.integration.queue.rig import Rig  # noqa: E402  after the line above


@pytest.fixture
def rig(queue: Queue, redis: Redis) -> Rig:
    """One sender called `me`."""
    return Rig(queue, redis)
