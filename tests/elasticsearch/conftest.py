"""A store on the running node for each test: indices of its own, dropped at the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from elasticsearch import AsyncElasticsearch

from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.connection import open_redis
from morpheus_kit.queue.scripts import Queue
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.elastic_client import ClusterOptions
from tests.conformance.keeping_cases import RETENTION
from tests.conformance.samples import T0, Records
from tests.elasticsearch.node import running_node
from tests.valkey import running_valkey


@pytest.fixture(scope="session")
def node_url() -> Iterator[str]:
    """Of the node that `make test-all` started, or of one of this run's own."""
    given = os.environ.get("ELASTICSEARCH_TEST_URL")
    if given:
        yield given
        return
    with running_node() as url:
        yield url


@pytest.fixture
async def client(node_url: str) -> AsyncIterator[AsyncElasticsearch]:
    async with AsyncElasticsearch(node_url, request_timeout=30) as client:
        yield client


@pytest.fixture
async def options(node_url: str, client: AsyncElasticsearch) -> AsyncIterator[ClusterOptions]:
    prefix = f"t{uuid4().hex[:10]}"
    yield ClusterOptions(node_url, replicas=0, prefix=prefix)
    made = await client.indices.get_alias(index=f"{prefix}-*")
    await client.indices.delete(index=list(made) or f"{prefix}-none", ignore_unavailable=True)
    for template in (prefix, f"{prefix}-events"):
        await client.options(ignore_status=404).indices.delete_index_template(name=template)


@pytest.fixture
def clock() -> ManualClock:
    """Of all stores of a test."""
    return ManualClock(T0 + 10_000)


@pytest.fixture
async def open_store(options: ClusterOptions, clock: ManualClock) -> AsyncIterator[Callable[[], ElasticsearchStore]]:
    """Opens one more store over the same indices."""
    opened: list[ElasticsearchStore] = []

    def make() -> ElasticsearchStore:
        opened.append(ElasticsearchStore(options, clock, RETENTION))
        return opened[-1]

    yield make
    for store in opened:
        await store.stop()


@pytest.fixture
async def store(open_store: Callable[[], ElasticsearchStore]) -> ElasticsearchStore:
    store = open_store()
    await store.start()
    return store


@pytest.fixture
def records(
    store: ElasticsearchStore, client: AsyncElasticsearch, options: ClusterOptions, clock: ManualClock
) -> Records:
    async def reveal() -> None:
        await client.indices.refresh(index=f"{options.prefix}-2*")

    return Records(store, reveal, clock)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    with running_valkey(tmp_path) as url:
        async with open_redis(url) as redis:
            queue = Queue(redis, 0, aof_always=True)
            await queue.prepare()
            yield queue
