"""The queues of all partitions over one checked connection, and the part that closes it."""

from __future__ import annotations

from redis.asyncio import Redis

from morpheus_kit.queue.connection import connect
from morpheus_kit.queue.scripts import Queue


class Connection:
    """A part that closes Redis, after everything that uses it."""

    def __init__(self, redis: Redis) -> None:
        """`redis` is open already."""
        self._redis = redis

    async def start(self) -> None:
        """It was opened and checked before."""

    async def stop(self) -> None:
        """Closes it."""
        await self._redis.aclose()


async def open_queues(url: str, *, partitions: int, replicas: int) -> tuple[Redis, list[Queue]]:
    """The connection, and a queue for each partition. ConfigError when this Redis may lose messages."""
    redis, durability = await connect(url, partitions=partitions, replicas=replicas)
    aof_always = durability.aof_always
    return redis, [Queue(redis, number, replicas=replicas, aof_always=aof_always) for number in range(partitions)]
