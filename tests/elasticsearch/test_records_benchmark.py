"""The benchmark of records in a small form, in a real node."""

from __future__ import annotations

import asyncio

import pytest
from elasticsearch import AsyncElasticsearch

from benchmarks import bare
from benchmarks.node import Node
from benchmarks.scenarios import records
from tests.measured import check


@pytest.mark.timeout(180)
async def test_records_are_written_and_asked_for(
    node_url: str, client: AsyncElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "ROUND", 500)
    monkeypatch.setattr(bare, "_REQUEST", 100)  # the client warns of larger bodies
    figures = await asyncio.to_thread(records.measure_elasticsearch, Node(node_url), 1_000, 250, 4)
    made = [*await client.indices.get(index="morpheus-*"), *await client.indices.get(index="bare-morpheus-*")]
    await client.indices.delete(index=made)
    check(figures, messages=1_000, bare=500)
