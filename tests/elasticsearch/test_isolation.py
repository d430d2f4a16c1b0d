"""The RPCs over Elasticsearch: companies see nothing of each other, and `as_of` promises nothing that is not seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc.aio
import pytest
from elasticsearch import AsyncElasticsearch
from morpheus.tracker.v1 import tracker_pb2 as pb
from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub
from redis.asyncio import Redis

from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.scripts import Queue
from services.tracker.store import opened
from services.tracker.store.elastic_client import ClusterOptions
from tests.conformance.samples import Records, group
from tests.integration.conftest import queue, redis, redis_url
from tests.integration.tracker.conftest import sender
from tests.integration.tracker.conftest import tracker as tracker_of
from tests.integration.tracker.rig import until
from tests.integration.tracker.test_as_of import test_an_answer_holds_all_that_was_queued_before_its_as_of
from tests.integration.tracker.test_isolation import (
    fill,
    test_a_company_asks_for_itself_and_an_administrator_for_all,
    test_nothing_of_another_company_is_changed,
    test_nothing_of_another_company_is_told,
)

__all__ = [
    "queue",
    "redis",
    "redis_url",
    "sender",
    "test_a_company_asks_for_itself_and_an_administrator_for_all",
    "test_an_answer_holds_all_that_was_queued_before_its_as_of",
    "test_nothing_of_another_company_is_changed",
    "test_nothing_of_another_company_is_told",
    "tracker_of",
]


@pytest.fixture
async def tracker(
    options: ClusterOptions, records: Records, tracker_of: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """Starts a tracker over indices of this test's own, all of which are there."""
    monkeypatch.setattr(opened, "ClusterOptions", partial(ClusterOptions, prefix=options.prefix))
    await records.write(Outcome([group("nobody")]))

    async def start() -> TrackerServiceStub:
        made: Any = await tracker_of(records_url=options.url, records_replicas=0)

        async def ask() -> bool:
            try:
                await made.ListGroups(pb.ListGroupsRequest(company_code="nobody"))
            except grpc.aio.AioRpcError as exc:
                if exc.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return False
            return True

        await until(ask, bool)
        stub: TrackerServiceStub = made
        return stub

    return start


@pytest.fixture
async def stub(
    tracker: Any, queue: Queue, redis: Redis, client: AsyncElasticsearch, options: ClusterOptions
) -> TrackerServiceStub:
    """A tracker that has something of both companies, all of it seen."""
    made: TrackerServiceStub = await tracker()
    await fill(made, queue, redis)
    await client.indices.refresh(index=f"{options.prefix}-*")
    return made
