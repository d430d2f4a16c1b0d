"""Several writers at once over the same documents: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.elastic import ElasticsearchStore
from tests.conformance.samples import T0, Records, event, group, group_event, record

_MESSAGES = 20


async def test_two_writers_at_once_lose_nothing(records: Records, open_store: Callable[[], ElasticsearchStore]) -> None:
    other = open_store()
    await other.start()
    mine, theirs = [], []
    for index in range(_MESSAGES):
        mine += [Outcome([group()], [record(index)], [event(index)])]
        theirs += [
            Outcome([], [record(index, reconstructed=True)], [event(index, "delivered", source="test", at=T0 + 9)])
        ]
        theirs += [Outcome([group(part=1)], [], [event(index, "opened", source="test", at=T0 + 10)])]
        mine += [
            Outcome([], [], [event(index, "clicked", source="test", at=T0 + 11)], [group_event("paused", T0 + index)])
        ]

    async def write(store: object, outcomes: list[Outcome]) -> None:
        assert isinstance(store, ElasticsearchStore)
        for outcome in outcomes:
            await store.write(outcome)

    await asyncio.gather(write(records.store, mine), write(other, theirs))
    await records.write()
    row = await records.store.group("acme", "june")
    assert row is not None
    assert (row.counts, row.settled, row.parts_in, row.total) == ({"clicked": _MESSAGES}, _MESSAGES, 2, 6)
    assert len(row.operations) == _MESSAGES
    for index in range(_MESSAGES):
        found = await records.message(index)
        assert [each.type for each in found.head.folded.events] == ["sent", "delivered", "opened", "clicked"]
        assert found.body is not None
        assert found.body.text == f"number {index}"


async def test_messages_that_raced_their_group_are_seen(
    records: Records, open_store: Callable[[], ElasticsearchStore]
) -> None:
    other = open_store()
    await other.start()
    for _ in range(5):
        await asyncio.gather(
            records.store.write(Outcome([group()])),
            *(other.write(Outcome([], [record(index)], [event(index)])) for index in range(5)),
        )
    await records.write()
    assert len(await records.listed()) == 5
