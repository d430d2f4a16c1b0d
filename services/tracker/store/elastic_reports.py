"""What the Elasticsearch store answers beside lists."""

# ruff: noqa: ARG002  the questions that are not answered yet look at nothing

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from morpheus_kit.errors import NotSupportedError
from services.tracker.documents import Document
from services.tracker.store.elastic_client import Cluster
from services.tracker.store.elastic_groups import Groups
from services.tracker.store.elastic_queries import read_details
from services.tracker.store.reports import CostItem, CostQuery, FeedItem, StatisticsItem, StatisticsQuery


class ElasticReports(ABC):
    """The protocol `Reports`, over a cluster that `_ready` gives."""

    _groups: Groups

    async def statistics(self, company: str, wanted: StatisticsQuery) -> list[StatisticsItem]:
        """NotSupportedError."""
        raise _not_supported("Statistics")

    async def costs(self, company: str, wanted: CostQuery) -> list[CostItem]:
        """NotSupportedError."""
        raise _not_supported("Costs")

    async def changes(self, company: str, after: str, limit: int) -> list[FeedItem]:
        """NotSupportedError."""
        raise _not_supported("The feed of events")

    async def details(self, company: str, message_ids: Sequence[str]) -> list[Document]:
        """Messages with their bodies."""
        return await read_details(await self._ready(), self._groups, company, message_ids)

    @abstractmethod
    async def _ready(self) -> Cluster:
        """The cluster, once it has answered. StoreDownError."""


def _not_supported(what: str) -> NotSupportedError:
    return NotSupportedError(f"{what} cannot be answered from Elasticsearch yet.")
