"""The RPC adapter: requests to questions, answers to messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.errors import InvalidInputError
from services.tracker.answers import group_of, message_of
from services.tracker.filters import company_of, group_filter, message_filter, page_size
from services.tracker.inputs import Inputs
from services.tracker.paging import PageTokens
from services.tracker.privacy_service import Privacy, PrivacyService
from services.tracker.queries import Queries
from services.tracker.reporting import Reporting
from services.tracker.watches import Watches
from services.tracker.webhooks.base import Inbound
from services.tracker.webhooks.ingest import Webhooks


class TrackerService(PrivacyService):
    """Serves `morpheus.tracker.v1.TrackerService`."""

    def __init__(
        self,
        queries: Queries,
        watches: Watches,
        reporting: Reporting,
        inputs: Inputs,
        webhooks: Webhooks,
        privacy: Privacy,
        tokens: PageTokens,
    ) -> None:
        """These answer; `tokens` are those of their pages."""
        self._queries = queries
        self._watches = watches
        self._inputs = inputs
        self._reporting = reporting
        self._webhooks = webhooks
        self._privacy = privacy
        self._tokens = tokens

    async def GetGroup(self, request: pb.GetGroupRequest, context: Any) -> pb.GetGroupResponse:
        view = await self._queries.group(company_of(request.company_code), request.group_id)
        return pb.GetGroupResponse(group=group_of(view))

    async def WatchGroup(self, request: pb.WatchGroupRequest, context: Any) -> AsyncIterator[pb.WatchGroupResponse]:
        async with aclosing(self._watches.watch(company_of(request.company_code), request.group_id)) as views:
            async for view in views:
                yield pb.WatchGroupResponse(group=group_of(view))

    async def ListGroups(self, request: pb.ListGroupsRequest, context: Any) -> pb.ListGroupsResponse:
        page = (page_size(request.page_size), request.page_token)
        views, token = await self._queries.groups(company_of(request.company_code), group_filter(request), page)
        return pb.ListGroupsResponse(groups=[group_of(view) for view in views], next_page_token=token)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Any) -> pb.ListMessagesResponse:
        page = (page_size(request.page_size), request.page_token)
        found, token = await self._queries.messages(company_of(request.company_code), message_filter(request), page)
        return pb.ListMessagesResponse(messages=[message_of(each) for each in found], next_page_token=token)

    async def GetMessage(self, request: pb.GetMessageRequest, context: Any) -> pb.GetMessageResponse:
        document = await self._queries.message(company_of(request.company_code), request.id)
        return pb.GetMessageResponse(message=message_of(document))

    async def ExportMessages(
        self, request: pb.ExportMessagesRequest, context: Any
    ) -> AsyncIterator[pb.ExportMessagesResponse]:
        asked = request.filter
        if asked.page_size or asked.page_token:
            raise InvalidInputError.of("page_token" if asked.page_token else "page_size", "an export has no pages")
        async for page in self._queries.every_message(company_of(asked.company_code), message_filter(asked)):
            yield pb.ExportMessagesResponse(messages=[message_of(each) for each in page])

    async def GetStatistics(self, request: pb.GetStatisticsRequest, context: Any) -> pb.GetStatisticsResponse:
        return pb.GetStatisticsResponse(items=await self._reporting.statistics(request))

    async def GetCosts(self, request: pb.GetCostsRequest, context: Any) -> pb.GetCostsResponse:
        return pb.GetCostsResponse(items=await self._reporting.costs(request))

    async def StreamEvents(
        self, request: pb.StreamEventsRequest, context: Any
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        async for items in self._reporting.events(request):
            yield pb.StreamEventsResponse(items=items)

    async def ReadInputs(self, request: pb.ReadInputsRequest, context: Any) -> AsyncIterator[pb.ReadInputsResponse]:
        async for shared, messages in self._inputs.read(request):
            yield pb.ReadInputsResponse(shared=shared, messages=messages)

    async def IngestWebhook(self, request: pb.IngestWebhookRequest, context: Any) -> pb.IngestWebhookResponse:
        inbound = Inbound(request.target, request.headers, request.body)
        done = await self._webhooks.ingest(request.provider, inbound)
        return pb.IngestWebhookResponse(written=done.written, foreign=done.foreign, unreadable=done.unreadable)
