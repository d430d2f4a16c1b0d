"""The RPC adapter: control words of groups, and of providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio
from morpheus.dispatcher.v1 import dispatcher_pb2, dispatcher_pb2_grpc

from morpheus_kit import logs
from morpheus_kit.errors import InvalidInputError
from morpheus_kit.ids import partition_of
from morpheus_kit.queue.keys import group_name
from morpheus_kit.queue.scripts import Queue
from services.dispatcher.outlets import Outlets, Seen
from services.dispatcher.pauses import Wake

log = logs.get_logger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]


class DispatcherService(dispatcher_pb2_grpc.DispatcherServiceServicer):
    """Pause, resume, cancel: each one script in the company's partition. Providers: one hash an account."""

    def __init__(self, queues: Sequence[Queue], outlets: Outlets, wake: Wake) -> None:
        """`queues` in the order of their partitions."""
        self._queues = queues
        self._outlets = outlets
        self._wake = wake

    async def PauseGroup(
        self, request: dispatcher_pb2.PauseGroupRequest, context: Context
    ) -> dispatcher_pb2.PauseGroupResponse:
        queue, name = self._find(request.company_code, request.group_id)
        result = await queue.pause(name, request.key_id)
        log.info("group_controlled", group=name, control=result.control, key_id=request.key_id)
        return dispatcher_pb2.PauseGroupResponse(control=result.control, stopped=result.stopped)

    async def ResumeGroup(
        self, request: dispatcher_pb2.ResumeGroupRequest, context: Context
    ) -> dispatcher_pb2.ResumeGroupResponse:
        queue, name = self._find(request.company_code, request.group_id)
        result = await queue.resume(name, request.key_id)
        self._wake.set()
        log.info("group_controlled", group=name, control=result.control, key_id=request.key_id)
        return dispatcher_pb2.ResumeGroupResponse(control=result.control, stopped=0)

    async def CancelGroup(
        self, request: dispatcher_pb2.CancelGroupRequest, context: Context
    ) -> dispatcher_pb2.CancelGroupResponse:
        queue, name = self._find(request.company_code, request.group_id)
        result = await queue.cancel(name, request.key_id)
        self._wake.set()
        log.info("group_controlled", group=name, control=result.control, key_id=request.key_id)
        return dispatcher_pb2.CancelGroupResponse(control=result.control, stopped=result.stopped)

    async def ListProviders(
        self, request: dispatcher_pb2.ListProvidersRequest, context: Context
    ) -> dispatcher_pb2.ListProvidersResponse:
        return dispatcher_pb2.ListProvidersResponse(providers=[_provider(each) for each in await self._outlets.list()])

    async def PauseProvider(
        self, request: dispatcher_pb2.PauseProviderRequest, context: Context
    ) -> dispatcher_pb2.PauseProviderResponse:
        seen = await self._outlets.pause(request.name, request.key_id)
        log.info("provider_controlled", provider=seen.name, state=seen.state, key_id=request.key_id)
        return dispatcher_pb2.PauseProviderResponse(provider=_provider(seen))

    async def ResumeProvider(
        self, request: dispatcher_pb2.ResumeProviderRequest, context: Context
    ) -> dispatcher_pb2.ResumeProviderResponse:
        seen = await self._outlets.resume(request.name)
        self._wake.set()
        log.info("provider_controlled", provider=seen.name, state=seen.state, key_id=request.key_id)
        return dispatcher_pb2.ResumeProviderResponse(provider=_provider(seen))

    def _find(self, company_code: str, group_id: str) -> tuple[Queue, str]:
        for field, value in (("company_code", company_code), ("group_id", group_id)):
            if not value or "/" in value:
                raise InvalidInputError.of(field, "is required and has no slash")
        return self._queues[partition_of(company_code, len(self._queues))], group_name(company_code, group_id)


def _provider(seen: Seen) -> dispatcher_pb2.Provider:
    return dispatcher_pb2.Provider(
        name=seen.name, state=seen.state, reason_code=seen.reason_code, reason_text=seen.reason_text, rate=seen.rate
    )
