"""Erasing a person on one tracker while another records: whichever comes first, nothing of them is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from morpheus_kit.addresses import AddressHasher
from morpheus_kit.queue.outcomes import Outcome, pack_outcome
from morpheus_kit.queue.scripts import Queue
from services.tracker.consumer import Consumer
from services.tracker.erasures import Erasures
from services.tracker.outbox import Outbox
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.suppressions import Suppressions
from tests.conformance.samples import T0, Records, event, group, record

_PERSON = "p0@example.com"
_MESSAGES = 40


async def test_what_is_recorded_while_a_person_is_erased_is_emptied_too(
    records: Records, open_store: Callable[[], ElasticsearchStore], queue: Queue
) -> None:
    hasher, clock = AddressHasher("0123456789abcdef"), records.clock
    other = open_store()
    await other.start()
    here, there = (Erasures(store, [queue], hasher, Outbox(""), clock) for store in (records.store, other))
    suppressions = Suppressions(records.store, [queue], hasher, clock)
    consumer = Consumer(queue, records.store, suppressions, here, clock, "me")

    async def record_all() -> None:
        for index in range(_MESSAGES):
            person = record(index, address=_PERSON if index % 2 else f"p{index}@other.example")
            clicked = event(index, "clicked", source="ses", at=T0 + 9, detail={"url": _PERSON})
            outcome = Outcome([group(total=_MESSAGES)], [person], [event(index), clicked])
            await queue.redis.xadd(queue.keys.outcomes, pack_outcome(outcome))
            await consumer.step()

    async def erase() -> None:
        for _ in range(3):
            await there.erase("acme", _PERSON.upper())

    async with asyncio.timeout(60):
        await asyncio.gather(record_all(), erase())
        while await queue.redis.xlen(queue.keys.outcomes):
            await consumer.step()
    await records.reveal()
    assert await records.listed(address=_PERSON) == []
    row = await records.store.group("acme", "june")
    assert row is not None
    assert (sum(row.counts.values()), row.settled) == (_MESSAGES, _MESSAGES)
    assert len(await records.listed()) == _MESSAGES // 2
    assert set((await there.erase("acme", _PERSON)).values()) == {0}
