"""Small indices beside the monthly ones: one shard, made where they are missing, what is written is seen at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_client import Cluster, answering, explain


class SmallIndex:
    """The index `<prefix>-<name>`. Every method raises StoreDownError."""

    def __init__(self, name: str, properties: Mapping[str, Any]) -> None:
        """`properties` are all fields that a document may have."""
        self._name = name
        self._mappings = {"dynamic": "strict", "properties": properties}
        self._made = False

    async def search(self, cluster: Cluster, **question: Any) -> list[Mapping[str, Any]]:
        """The sources of what is found."""
        index = await self.made(cluster)
        with answering():
            answer = await cluster.client.search(index=index, allow_partial_search_results=False, **question)
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    async def bulk(self, cluster: Cluster, operations: Sequence[Mapping[str, Any]], allowed: set[int]) -> list[int]:
        """The status of each; any other than those allowed is a failure."""
        if not operations:
            return []
        index = await self.made(cluster)
        with answering():
            answer = await cluster.client.bulk(index=index, operations=operations, refresh=True)
        outcomes = [outcome for item in answer["items"] for outcome in item.values()]
        for outcome in outcomes:
            if outcome["status"] not in allowed:
                raise StoreDownError(explain(outcome))
        return [outcome["status"] for outcome in outcomes]

    async def made(self, cluster: Cluster) -> str:
        """Its whole name, once it is there."""
        index = f"{cluster.prefix}-{self._name}"
        if not self._made:
            settings = {"number_of_shards": 1, "number_of_replicas": cluster.replicas}
            client = cluster.client.options(ignore_status=400)
            with answering():
                answer = await client.indices.create(index=index, mappings=self._mappings, settings=settings)
                if "error" in answer and answer["error"].get("type") != "resource_already_exists_exception":
                    raise StoreDownError(explain(answer.body))
                await cluster.client.cluster.health(index=index, wait_for_active_shards="1", timeout="10s")
            self._made = True
        return index
