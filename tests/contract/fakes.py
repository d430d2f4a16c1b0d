"""A tracker and a dispatcher that remember what they were asked and answer what a test has laid out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from morpheus.dispatcher.v1 import dispatcher_pb2, dispatcher_pb2_grpc
from morpheus.tracker.v1 import tracker_pb2, tracker_pb2_grpc

from morpheus_kit.errors import ConflictError, MorpheusError, NotFoundError


class FakeTracker(tracker_pb2_grpc.TrackerServiceServicer):
    """Groups and messages by company and id."""

    def __init__(self) -> None:
        self.groups: list[tracker_pb2.Group] = []
        self.messages: list[tracker_pb2.Message] = []
        self.statistics: list[tracker_pb2.Statistics] = []
        self.costs: list[tracker_pb2.Cost] = []
        self.events: list[tracker_pb2.FeedEvent] = []
        self.inputs: list[tracker_pb2.ReadInputsResponse] = []
        self.exported = 1
        """How often an export gives all messages."""
        self.break_off: MorpheusError | None = None
        """Raised at the end of an export."""
        self.suppressions: dict[tuple[str, str, str], tracker_pb2.Suppression] = {}
        self.asked: list[Any] = []
        self.failure: MorpheusError | None = None

    def _record(self, request: Any) -> None:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure

    def _group(self, company: str, group_id: str) -> tracker_pb2.Group:
        for item in self.groups:
            if item.group_id == group_id and company in {"*", item.company_code}:
                return item
        raise NotFoundError("There is no such group.")

    async def GetGroup(self, request: tracker_pb2.GetGroupRequest, context: Any) -> tracker_pb2.GetGroupResponse:
        self._record(request)
        return tracker_pb2.GetGroupResponse(group=self._group(request.company_code, request.group_id))

    async def WatchGroup(
        self, request: tracker_pb2.WatchGroupRequest, context: Any
    ) -> AsyncIterator[tracker_pb2.WatchGroupResponse]:
        self._record(request)
        found = self._group(request.company_code, request.group_id)
        for control in ("running", "finished"):
            state = tracker_pb2.Group()
            state.CopyFrom(found)
            state.control = control
            yield tracker_pb2.WatchGroupResponse(group=state)

    async def ListGroups(self, request: tracker_pb2.ListGroupsRequest, context: Any) -> tracker_pb2.ListGroupsResponse:
        self._record(request)
        return tracker_pb2.ListGroupsResponse(groups=self.groups, next_page_token="more")

    async def ListMessages(
        self, request: tracker_pb2.ListMessagesRequest, context: Any
    ) -> tracker_pb2.ListMessagesResponse:
        self._record(request)
        return tracker_pb2.ListMessagesResponse(messages=self.messages, next_page_token="")

    async def GetMessage(self, request: tracker_pb2.GetMessageRequest, context: Any) -> tracker_pb2.GetMessageResponse:
        self._record(request)
        for item in self.messages:
            if item.id == request.id and request.company_code in {"*", item.company_code}:
                return tracker_pb2.GetMessageResponse(message=item)
        raise NotFoundError("There is no such message.")

    async def GetStatistics(self, request: Any, context: Any) -> tracker_pb2.GetStatisticsResponse:
        self._record(request)
        return tracker_pb2.GetStatisticsResponse(items=self.statistics)

    async def GetCosts(self, request: Any, context: Any) -> tracker_pb2.GetCostsResponse:
        self._record(request)
        return tracker_pb2.GetCostsResponse(items=self.costs)

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[tracker_pb2.StreamEventsResponse]:
        self._record(request)
        for item in self.events[: request.limit]:
            yield tracker_pb2.StreamEventsResponse(items=[item])

    async def ReadInputs(self, request: Any, context: Any) -> AsyncIterator[tracker_pb2.ReadInputsResponse]:
        self._record(request)
        for item in self.inputs:
            yield item
        if self.break_off is not None:
            raise self.break_off

    async def ExportMessages(self, request: Any, context: Any) -> AsyncIterator[tracker_pb2.ExportMessagesResponse]:
        self._record(request)
        for _ in range(self.exported):
            yield tracker_pb2.ExportMessagesResponse(messages=self.messages)
        if self.break_off is not None:
            raise self.break_off

    async def IngestWebhook(self, request: Any, context: Any) -> tracker_pb2.IngestWebhookResponse:
        self._record(request)
        return tracker_pb2.IngestWebhookResponse(written=1)

    async def AddSuppression(
        self, request: tracker_pb2.AddSuppressionRequest, context: Any
    ) -> tracker_pb2.AddSuppressionResponse:
        self._record(request)
        key = (request.company_code, request.address, request.stream)
        created = key not in self.suppressions
        new = tracker_pb2.Suppression(address=request.address, stream=request.stream, reason=request.reason)
        new.time.FromSeconds(1_780_000_000)
        return tracker_pb2.AddSuppressionResponse(suppression=self.suppressions.setdefault(key, new), created=created)

    async def RemoveSuppression(
        self, request: tracker_pb2.RemoveSuppressionRequest, context: Any
    ) -> tracker_pb2.RemoveSuppressionResponse:
        self._record(request)
        found = self.suppressions.pop((request.company_code, request.address, request.stream), None)
        return tracker_pb2.RemoveSuppressionResponse(removed=int(found is not None))

    async def ListSuppressions(
        self, request: tracker_pb2.ListSuppressionsRequest, context: Any
    ) -> tracker_pb2.ListSuppressionsResponse:
        self._record(request)
        return tracker_pb2.ListSuppressionsResponse(suppressions=self.suppressions.values())

    async def GetUnsubscribeLink(self, request: Any, context: Any) -> tracker_pb2.GetUnsubscribeLinkResponse:
        self._record(request)
        return tracker_pb2.GetUnsubscribeLinkResponse(stream=self._stream(request.token))

    async def UnsubscribeRecipient(self, request: Any, context: Any) -> tracker_pb2.UnsubscribeRecipientResponse:
        self._record(request)
        return tracker_pb2.UnsubscribeRecipientResponse(stream=self._stream(request.token))

    def _stream(self, token: str) -> str:
        if not token.startswith("good"):
            raise NotFoundError("This is no unsubscribe link of ours.")
        return "newsletter"

    async def EraseAddress(
        self, request: tracker_pb2.EraseAddressRequest, context: Any
    ) -> tracker_pb2.EraseAddressResponse:
        self._record(request)
        return tracker_pb2.EraseAddressResponse(erased={"records": 2, "outbox": 0})


class FakeDispatcher(dispatcher_pb2_grpc.DispatcherServiceServicer):
    """One group, `welcome-1`, that can be paused, resumed and cancelled, and one provider, `mandrill`."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.control = "running"
        self.provider = dispatcher_pb2.Provider(name="mandrill", state="running", rate=12.5)

    def _set(self, request: Any, control: str) -> int:
        self.asked.append(request)
        if request.group_id != "welcome-1":
            raise NotFoundError("There is no such group.")
        if self.control == "cancelled" and control == "running":
            raise ConflictError("The group is cancelled.")
        changed, self.control = self.control != control, control
        return 7 if changed and control != "running" else 0

    async def PauseGroup(self, request: Any, context: Any) -> dispatcher_pb2.PauseGroupResponse:
        return dispatcher_pb2.PauseGroupResponse(stopped=self._set(request, "paused"), control=self.control)

    async def ResumeGroup(self, request: Any, context: Any) -> dispatcher_pb2.ResumeGroupResponse:
        return dispatcher_pb2.ResumeGroupResponse(stopped=self._set(request, "running"), control=self.control)

    async def CancelGroup(self, request: Any, context: Any) -> dispatcher_pb2.CancelGroupResponse:
        return dispatcher_pb2.CancelGroupResponse(stopped=self._set(request, "cancelled"), control=self.control)

    async def ListProviders(self, request: Any, context: Any) -> dispatcher_pb2.ListProvidersResponse:
        self.asked.append(request)
        return dispatcher_pb2.ListProvidersResponse(providers=[self.provider])

    async def PauseProvider(self, request: Any, context: Any) -> dispatcher_pb2.PauseProviderResponse:
        self._switch(request, "paused", "provider_paused")
        return dispatcher_pb2.PauseProviderResponse(provider=self.provider)

    async def ResumeProvider(self, request: Any, context: Any) -> dispatcher_pb2.ResumeProviderResponse:
        self._switch(request, "running", "")
        return dispatcher_pb2.ResumeProviderResponse(provider=self.provider)

    def _switch(self, request: Any, state: str, code: str) -> None:
        self.asked.append(request)
        if request.name != self.provider.name:
            raise NotFoundError("There is no such provider.")
        self.provider.state, self.provider.reason_code, self.provider.reason_text = state, code, code and "by hand"
