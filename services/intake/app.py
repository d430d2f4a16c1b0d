"""Wires intake: keys, one queue a partition, the RPC server."""

from __future__ import annotations

import grpc.aio
from morpheus.intake.v1 import intake_pb2_grpc
from redis.asyncio import Redis

from morpheus_kit.clock import SystemClock
from morpheus_kit.keyring import Keyring, RateLimiter
from morpheus_kit.lifecycle import Unit
from morpheus_kit.queue.connection import connect
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.server import RpcServer
from services.intake.config import Config
from services.intake.service import IntakeServicer
from services.intake.submission import Intake


class _Connection:
    """A part that closes the connection after the server has stopped."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def start(self) -> None:
        """It was opened and checked before."""

    async def stop(self) -> None:
        await self._redis.aclose()


async def build(config: Config) -> Unit:
    """Intake as a unit. ConfigError when Redis or the key file cannot be used."""
    clock = SystemClock()
    keyring = Keyring(config.keys_path)
    redis, durability = await connect(config.redis_url, partitions=config.partitions, replicas=config.redis_replicas)
    queues = [
        Queue(redis, partition, replicas=config.redis_replicas, aof_always=durability.aof_always)
        for partition in range(config.partitions)
    ]
    servicer = IntakeServicer(Intake(config, keyring, RateLimiter(clock), queues, clock))

    def register(server: grpc.aio.Server) -> None:
        intake_pb2_grpc.add_IntakeServiceServicer_to_server(servicer, server)

    return Unit("intake", [_Connection(redis), RpcServer(config.intake_addr, register)], grace_seconds=config.grace)
