"""Template, aliases, and what is wrong with a cluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from elasticsearch import AsyncElasticsearch

from benchmarks.stack import free_port
from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.elastic_client import ClusterOptions
from tests.conformance.keeping_cases import drop, fill
from tests.conformance.samples import T0, Records, event, group, message_id, record


async def test_aliases_show_each_company_its_own_messages(
    records: Records, store: ElasticsearchStore, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    mine, theirs = f"{options.prefix}-a", f"{options.prefix}-b"
    await records.write(Outcome([group(mine), group(theirs)], [record(0, mine), record(1, mine), record(0, theirs)]))
    for _ in range(2):
        await store.update_aliases()
    assert (await client.count(index=f"message-{mine}"))["count"] == 2
    assert (await client.count(index=f"message-{theirs}"))["count"] == 1


async def test_field_that_is_new_is_added_to_live_indices(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await records.write(Outcome([group()]))
    added = {"properties": {"brand_new": {"type": "keyword"}}}
    monkeypatch.setattr("services.tracker.store.elastic_client.MAPPINGS", added)
    newer = ElasticsearchStore(options, ManualClock(T0))
    await newer.start()
    await newer.stop()
    mapping = await client.indices.get_mapping(index=f"{options.prefix}-2026-06")
    assert "brand_new" in mapping[f"{options.prefix}-2026-06"]["mappings"]["properties"]
    template = (await client.indices.get_index_template(name=options.prefix))["index_templates"][0]["index_template"]
    assert template["template"]["mappings"]["dynamic"] == "strict"


async def test_field_of_a_newer_release_is_carried_through(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    await records.write(Outcome([group()], [record(0)]))
    index, routing = f"{options.prefix}-2026-06", group().shared.reference_prefix[-8:]
    await client.indices.put_mapping(index=index, properties={"newer": {"type": "keyword"}})
    await client.update(index=index, id=message_id(0), routing=routing, doc={"newer": "kept"})
    await records.write(Outcome([], [], [event(0)]))
    source = (await client.get(index=index, id=message_id(0), routing=routing))["_source"]
    assert (source["newer"], source["state"]) == ("kept", "sent")


async def test_document_that_is_refused_for_ever_is_kept_stripped(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    await records.write(Outcome([group()]))
    guard = {"set": {"if": "ctx.subject == 'poison'", "field": "accepted_at", "value": "never"}}
    await client.ingest.put_pipeline(id=options.prefix, processors=[guard])
    index = f"{options.prefix}-2026-06"
    await client.indices.put_settings(index=index, settings={"index.default_pipeline": options.prefix})
    bad = record(0, subject="poison")
    refused = await records.write(Outcome([], [bad, record(1)], [event(0), event(1)]))
    assert [each.record for each in refused] == [bad]
    found = await records.message()
    assert (found.head.folded.state, bool(found.head.error), found.head.subject) == ("sent", True, "")
    row = await records.store.group("acme", "june")
    assert row is not None
    assert row.counts == {"sent": 2}
    await client.indices.put_settings(index=index, settings={"index.default_pipeline": None})
    await client.ingest.delete_pipeline(id=options.prefix)


async def test_questions_beside_the_making_of_months_are_answered(
    records: Records, store: ElasticsearchStore, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    await records.write(Outcome([group()], [record(0)]))
    made = asyncio.Event()

    async def make() -> None:
        for month in (7, 8):
            await client.indices.create(index=f"{options.prefix}-2026-{month:02}")
        made.set()

    async def ask() -> None:
        while not made.is_set():
            assert await records.listed() == ["p0@example.com"]
            assert await store.group("acme", "june") is not None

    await asyncio.gather(make(), ask(), ask())


async def test_cluster_that_is_away_is_waited_for(options: ClusterOptions) -> None:
    away = ElasticsearchStore(replace(options, url=f"http://name:secret@127.0.0.1:{free_port()}"), ManualClock(T0))
    await away.start()
    with pytest.raises(StoreDownError) as caught:
        await away.write(Outcome([group()]))
    assert "secret" not in str(caught.value)
    await away.stop()


async def test_a_month_goes_whole_once_it_is_over_for_everybody_in_it(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    """Before that the documents of those for whom it is; nobody's events wait for the longest."""
    index = f"{options.prefix}-2026-06"
    await fill(records)
    await records.write(Outcome([], [], [event(99)], []))
    await drop(records, 100)
    assert (await client.count(index=index))["count"] == 2 * 4 + 1
    records.clock.advance(1000 * 86_400)
    assert await records.store.drop_over(1) == 1
    assert not await client.indices.exists(index=index)
    assert await records.store.drop_over(1) == 0
    await client.indices.create(index=index)
    assert await records.store.drop_over(1) == 1
    this_month = datetime.fromtimestamp(records.clock.now_ms() / 1000, UTC).strftime("%Y-%m")
    await client.indices.create(index=f"{options.prefix}-{this_month}")
    assert await records.store.drop_over(1) == 0
