"""Wires intake: keys, one queue a partition, the RPC server."""

from __future__ import annotations

import grpc.aio
from morpheus.intake.v1 import intake_pb2_grpc

from morpheus_kit.clock import SystemClock
from morpheus_kit.keyring import Keyring, RateLimiter
from morpheus_kit.lifecycle import Unit
from morpheus_kit.prices import read_prices
from morpheus_kit.queue.opened import Connection, open_queues
from morpheus_kit.rpc.server import RpcServer
from services.intake.config import Config
from services.intake.preview import Previews
from services.intake.rendering import Renderer
from services.intake.service import IntakeServicer
from services.intake.submission import Intake


async def build(config: Config) -> Unit:
    """Intake as a unit. ConfigError when Redis or the key file cannot be used."""
    clock = SystemClock()
    keyring = Keyring(config.keys_path)
    redis, queues = await open_queues(config.redis_url, partitions=config.partitions, replicas=config.redis_replicas)
    limiter, renderer = RateLimiter(clock), Renderer(config.renderer_addr)
    servicer = IntakeServicer(
        Intake(config, keyring, limiter, queues, clock),
        Previews(config, keyring, limiter, renderer, read_prices(config.prices_file), clock),
    )

    def register(server: grpc.aio.Server) -> None:
        intake_pb2_grpc.add_IntakeServiceServicer_to_server(servicer, server)

    return Unit(
        "intake", [Connection(redis), renderer, RpcServer(config.intake_addr, register)], grace_seconds=config.grace
    )
