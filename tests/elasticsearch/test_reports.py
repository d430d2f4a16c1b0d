"""The feed over several writers, weeks and failures; statistics that are too large for one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store import elastic_writer
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.elastic_client import ClusterOptions
from services.tracker.store.elastic_feed import ElasticFeed, Extent
from services.tracker.store.reports import DAY_MS, FEED_MS, HOUR_MS, FeedItem, StatisticsQuery
from tests.conformance.report_cases import T0, check, merged, outcome
from tests.conformance.samples import Records, event, group, message_id, record

OpenStore = Callable[[], ElasticsearchStore]
Told = tuple[str, str, str]


@pytest.fixture
async def timed(options: ClusterOptions) -> AsyncIterator[tuple[ElasticsearchStore, ManualClock]]:
    """A store whose time the test tells."""
    clock = ManualClock(T0)
    store = ElasticsearchStore(options, clock)
    await store.start()
    yield store, clock
    await store.stop()


async def read_on(store: ElasticsearchStore, after: str = "", limit: int = 100) -> list[FeedItem]:
    """All that comes after a cursor."""
    found: list[FeedItem] = []
    while items := await store.changes("acme", after, limit):
        found += items
        after = items[-1].cursor
    return found


def told(items: list[FeedItem]) -> list[Told]:
    return [(item.message_id, item.type, item.state) for item in items]


async def test_readers_beside_several_writers_miss_nothing(store: ElasticsearchStore, open_store: OpenStore) -> None:
    await store.write(Outcome([group()]))
    others = [open_store() for _ in range(2)]
    for each in others:
        await each.start()
    writers = [store, *others]
    done = asyncio.Event()

    async def write(number: int) -> None:
        for index in range(number, 90, len(writers)):
            await writers[number].write(Outcome([], [record(index)], [event(index)]))

    async def read() -> list[FeedItem]:
        found: list[FeedItem] = []
        while True:
            last = done.is_set()
            found += await read_on(store, found[-1].cursor if found else "", 4)
            if last:
                return found

    async def follow() -> None:
        async with asyncio.TaskGroup() as group_:
            for number in range(len(writers)):
                group_.create_task(write(number))
        done.set()

    found, _ = await asyncio.gather(read(), follow())
    assert sorted(told(found)) == sorted((message_id(index), "sent", "sent") for index in range(90))


async def test_what_is_not_on_every_copy_is_read_later(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        await store.write(Outcome([], [record(index)], [event(index)]))
    real = ElasticFeed._extents

    async def behind(feed: ElasticFeed) -> dict[str, Extent]:
        return {week: extent._replace(complete=extent.complete - 1) for week, extent in (await real(feed)).items()}

    with monkeypatch.context() as patch:
        patch.setattr(ElasticFeed, "_extents", behind)
        first = await read_on(store)
    assert told(first) == [(message_id(index), "sent", "sent") for index in range(2)]
    assert told(await read_on(store, first[-1].cursor)) == [(message_id(2), "sent", "sent")]


async def test_a_late_writer_of_last_week_is_heard(
    timed: tuple[ElasticsearchStore, ManualClock], open_store: OpenStore
) -> None:
    store, clock = timed
    slow = open_store()
    await slow.start()
    await store.write(Outcome([], [record(0)], [event(0)]))
    clock.advance(7 * DAY_MS / 1000)
    await store.write(Outcome([], [], [event(0, "delivered", source="test")]))
    read = await read_on(store, limit=1)
    assert [item.type for item in read] == ["sent", "delivered"]
    await slow.write(Outcome([], [record(1)], [event(1)]))
    await store.write(Outcome([], [], [event(1, "opened", source="test")]))
    assert told(await read_on(store, read[-1].cursor, 1)) == [
        (message_id(1), "sent", "sent"),
        (message_id(1), "opened", "opened"),
    ]
    assert told(await read_on(store, read[0].cursor)) != []


async def test_weeks_that_are_older_than_the_feed_are_deleted(
    timed: tuple[ElasticsearchStore, ManualClock], client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    store, clock = timed
    await store.write(Outcome([], [record(0)], [event(0)]))
    (old,) = await read_on(store)
    clock.advance(FEED_MS / 1000 + 1)
    assert await read_on(store) == []
    await store.drop_old_events()
    assert len(await client.indices.get_alias(index=f"{options.prefix}-events-*")) == 1
    await store.write(Outcome([], [], [event(0, "delivered", source="test")]))
    clock.advance(7 * DAY_MS / 1000)
    for _ in range(2):
        await store.drop_old_events()
    assert len(await client.indices.get_alias(index=f"{options.prefix}-events-*")) == 1
    assert [item.type for item in await read_on(store, old.cursor)] == ["delivered"]


async def test_a_write_that_broke_off_behind_the_feed_is_told_once(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Outcome([], [record(0), record(1)], [event(0), event(1)])

    async def broken(*_: Any) -> None:
        raise StoreDownError("away")

    with monkeypatch.context() as patch:
        patch.setattr(elastic_writer, "write", broken)
        with pytest.raises(StoreDownError):
            await store.write(batch)
    assert len(await read_on(store)) == 2
    await store.write(batch)
    assert told(await read_on(store)) == [(message_id(0), "sent", "sent"), (message_id(1), "sent", "sent")]


async def test_the_last_that_is_told_of_a_message_is_its_state(
    records: Records, store: ElasticsearchStore, open_store: OpenStore
) -> None:
    """Writers that come between each other tell the feed first what is no longer so, and then what is."""
    other = open_store()
    await other.start()
    await records.write(Outcome([group()]), *(Outcome([], [record(index)], [event(index)]) for index in range(10)))
    kinds = ("delivered", "complained", "opened", "clicked")

    async def write(each: ElasticsearchStore, some: tuple[str, ...]) -> None:
        for kind in some:
            await each.write(Outcome([], [], [event(index, kind, source="test") for index in range(10)]))

    await asyncio.gather(write(store, kinds[:2]), write(other, kinds[2:]))
    last = {item.message_id: item.state for item in await read_on(store)}
    assert last == dict.fromkeys(map(message_id, range(10)), "complained")


async def test_a_feed_whose_index_was_deleted_is_made_again(
    store: ElasticsearchStore, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    await store.write(Outcome([], [record(0)], [event(0)]))
    (first,) = await read_on(store)
    (index,) = await client.indices.get_alias(index=f"{options.prefix}-events-*")
    await client.indices.delete(index=index)
    await store.write(Outcome([], [record(1)], [event(1)]))
    assert (await client.indices.get_mapping(index=index))[index]["mappings"]["dynamic"] == "strict"
    assert told(await read_on(store)) == [(message_id(1), "sent", "sent")]
    assert len(await read_on(store, first.cursor.replace("-1-", "-9-"))) == 1


async def test_statistics_that_are_too_many_for_one_answer_come_in_parts(
    records: Records, client: AsyncElasticsearch
) -> None:
    parts = [outcome("a", 0, "group")]
    for index in range(6):
        parts += [outcome("a", index, "record"), outcome("a", index, "sent")]
    await records.write(merged(parts))
    await client.cluster.put_settings(transient={"search.max_buckets": 8})
    try:
        for by_tag in (False, True):
            wanted = StatisticsQuery(T0 - HOUR_MS, T0 + DAY_MS, HOUR_MS, by_method=True, by_tag=by_tag)
            found = await records.store.statistics("acme", wanted)
            assert len(found) == (15 if by_tag else 6)
    finally:
        await client.cluster.put_settings(transient={"search.max_buckets": None})
    await check(records.store, "acme", wanted)
