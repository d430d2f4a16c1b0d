"""What Elasticsearch refuses for ever, read from the stream: buried and kept stripped, and the others are recorded."""

from __future__ import annotations

from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome, pack_outcome, unpack_outcome
from morpheus_kit.queue.scripts import Queue
from services.tracker.consumer import Consumer
from services.tracker.erasures import Erasures
from services.tracker.outbox import Outbox
from services.tracker.suppressions import Suppressions
from tests.conformance.samples import T0, Records, event, group, record

NO_NUMBER = {"cost_micros": "a word", "cost_currency": "GBP"}


async def test_poisoned_messages_are_buried_and_the_others_recorded(records: Records, queue: Queue) -> None:
    clock = ManualClock(T0 + 10_000)
    hasher = AddressHasher("0123456789abcdef")
    suppressions = Suppressions(records.store, [queue], hasher, clock)
    erasures = Erasures(records.store, [queue], hasher, Outbox(""), clock)
    consumer = Consumer(queue, records.store, suppressions, erasures, clock, "me")
    bad, late = event(0, detail=NO_NUMBER), event(2, "delivered", source="test", at=T0 + 9, detail=NO_NUMBER)
    entries = [
        Outcome([group(total=4)], [record(0), record(1), record(2)], [bad, event(1), event(2)]),
        Outcome([], [record(3)], [event(3), late]),
    ]
    for entry in entries:
        await queue.redis.xadd(queue.keys.outcomes, pack_outcome(entry))
        await consumer.step()
        await consumer.step()
    await records.write()

    assert await queue.redis.xlen(queue.keys.outcomes) == 0
    letters = [fields for _, fields in await queue.redis.xrange(queue.keys.dead)]
    assert [letter[b"kind"] for letter in letters] == [b"record", b"outcome"]
    assert unpack_outcome(letters[1]).events == [late]
    row = await records.store.group("acme", "june")
    assert row is not None
    assert (row.total, row.counts, row.settled) == (4, {"sent": 3, "delivered": 1}, 4)
    found = [await records.message(index) for index in range(4)]
    assert [bool(each.head.error) for each in found] == [True, False, False, False]
    assert [each.body.text if each.body else "" for each in found] == ["", "number 1", "number 2", "number 3"]
    assert found[2].head.folded.state == "delivered"
