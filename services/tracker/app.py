"""Wires the tracker together."""

from __future__ import annotations

from morpheus.tracker.v1.tracker_pb2_grpc import add_TrackerServiceServicer_to_server
from redis.asyncio import Redis

from morpheus_kit import ids
from morpheus_kit.clock import SystemClock
from morpheus_kit.lifecycle import Task, Unit
from morpheus_kit.queue.connection import connect
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.server import RpcServer
from services.tracker.config import Config, records_path
from services.tracker.consumer import Consumer
from services.tracker.ledger import Ledgers
from services.tracker.paging import PageTokens
from services.tracker.queries import Queries
from services.tracker.service import TrackerService
from services.tracker.store.base import EVERYONE
from services.tracker.store.sqlite import SqliteStore


class Connection:
    """The part that closes Redis, after everything that uses it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def start(self) -> None:
        """It is open already."""

    async def stop(self) -> None:
        """Closes it."""
        await self._redis.aclose()


async def build(config: Config) -> Unit:
    """The service; ConfigError when Redis may lose messages or the records are in use."""
    redis, durability = await connect(config.redis_url, partitions=config.partitions, replicas=config.redis_replicas)
    clock = SystemClock()
    store = SqliteStore(records_path(config.records_url), clock)
    name = ids.consumer_name()
    consumers = [
        Consumer(
            Queue(redis, partition, replicas=config.redis_replicas, aof_always=durability.aof_always),
            store,
            clock,
            name,
        )
        for partition in range(config.partitions)
    ]

    def recorded_ms(company: str) -> int:
        if company == EVERYONE:
            return min(consumer.recorded_ms for consumer in consumers)
        return consumers[ids.partition_of(company, config.partitions)].recorded_ms

    tokens = PageTokens(config.token_secret.get_secret_value())
    service = TrackerService(Queries(store, Ledgers(redis, config.partitions), tokens, clock, recorded_ms))
    server = RpcServer(config.tracker_addr, lambda each: add_TrackerServiceServicer_to_server(service, each))
    tasks = [Task(f"outcomes-{number}", consumer.main) for number, consumer in enumerate(consumers)]
    return Unit("tracker", [Connection(redis), store, *tasks, server], config.grace)
