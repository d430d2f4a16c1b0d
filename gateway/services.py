"""The four services behind the gateway: channels, stubs, health, and their errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from morpheus.dispatcher.v1 import dispatcher_pb2_grpc
from morpheus.intake.v1 import intake_pb2_grpc
from morpheus.tracker.v1 import tracker_pb2_grpc

from gateway.config import Config
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.status import from_rpc_error

T = TypeVar("T")
CALL_SECONDS = 30.0
SUBMIT_SECONDS = 120.0
ERASE_SECONDS = 120.0
_HEALTH_SECONDS = 2.0


class Services:
    """A part of the unit: channels are opened at start and closed at stop."""

    intake: intake_pb2_grpc.IntakeServiceAsyncStub
    dispatcher: dispatcher_pb2_grpc.DispatcherServiceAsyncStub
    tracker: tracker_pb2_grpc.TrackerServiceAsyncStub

    def __init__(self, config: Config) -> None:
        """Addresses come from the configuration."""
        self._addresses = {
            "intake": config.intake_addr,
            "renderer": config.renderer_addr,
            "dispatcher": config.dispatcher_addr,
            "tracker": config.tracker_addr,
        }
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def start(self) -> None:
        """Opens channels; they connect when they are used."""
        self._channels = {name: open_channel(address) for name, address in self._addresses.items()}
        self.intake = intake_pb2_grpc.IntakeServiceStub(self._channels["intake"])
        self.dispatcher = dispatcher_pb2_grpc.DispatcherServiceStub(self._channels["dispatcher"])
        self.tracker = tracker_pb2_grpc.TrackerServiceStub(self._channels["tracker"])

    async def stop(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()

    async def health(self) -> dict[str, bool]:
        """Which service says that it serves."""
        names = list(self._channels)
        answers = await asyncio.gather(*(self._serves(self._channels[name]) for name in names))
        return dict(zip(names, answers, strict=True))

    async def _serves(self, channel: grpc.aio.Channel) -> bool:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def answer(call: Awaitable[T]) -> T:
    """Awaits a call; what the service raised is raised here as our own error."""
    try:
        return await call
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc
