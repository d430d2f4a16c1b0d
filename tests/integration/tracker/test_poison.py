"""What the store refuses for ever goes to `dead`, a stripped record stands in its place, and nothing waits for it."""

from __future__ import annotations

from typing import Any

import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb
from redis.asyncio import Redis

from morpheus_kit.queue.keys import LAYOUT
from morpheus_kit.queue.outcomes import pack_records, unpack_outcome
from morpheus_kit.queue.schema import MessageRecord, QueuedMessage, pack
from services.tracker.store.sqlite import SqliteStore
from tests.integration.tracker.rig import Sender, until

TOO_LARGE = 2**63
"""More than a store's whole numbers."""


async def _group(stub: Any) -> pb.Group:
    found: pb.Group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    return found


async def _letters(sender: Sender) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await sender.queue.redis.xrange(sender.queue.keys.dead)]


async def test_poisoned_message_takes_no_other_one_of_its_entry_with_it(
    tracker: Any, sender: Sender, redis: Redis
) -> None:
    await sender.commit(4)
    bad = pack(QueuedMessage(1, sender.message_id(0), 0, 0, TOO_LARGE, "Person0@Example.com"))
    poison = MessageRecord(sender.reference(0), "acme", "june", bad, rendered=True, html="<p>kept</p>")
    records = [poison, *(sender.record(index) for index in range(1, 4))]
    events = [sender.event(index, "sent") for index in range(3)]
    late = sender.event(3, "sent", detail={"cost_micros": "a word", "cost_currency": "GBP"})
    await sender.add(pack_records(records), [*events, late])
    stub = await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    group = await _group(stub)
    assert (group.counts["sent"], group.control) == (4, "finished")
    listed = await stub.ListMessages(pb.ListMessagesRequest(company_code="acme", group_id="june"))
    assert {message.address for message in listed.messages} == {"", *(f"Person{index}@Example.com" for index in (1, 2))}
    kept = [unpack_outcome(letter) for letter in await _letters(sender)]
    assert [[record.reference for record in each.messages] for each in kept] == [
        [sender.reference(0)],
        [sender.reference(3)],
    ]
    assert kept[0].messages == [poison]
    assert kept[1].events == [late]


async def test_event_that_is_refused_leaves_the_record_whole(tracker: Any, sender: Sender, redis: Redis) -> None:
    await sender.commit(1)
    await sender.send(0, kinds=("sent",))
    stub = await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    await sender.add(events=[sender.event(0, "delivered", detail={"cost_micros": "x", "cost_currency": "GBP"})])
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    found = await stub.GetMessage(pb.GetMessageRequest(company_code="acme", id=sender.message_id(0)))
    assert (found.message.state, found.message.html) == ("delivered", "<p>Order 0</p>")
    assert len(await _letters(sender)) == 1


async def test_hard_bounce_that_is_kept_stripped_suppresses_all_the_same(
    tracker: Any, sender: Sender, redis: Redis
) -> None:
    await sender.commit(1)
    await sender.send(0, kinds=("sent",))
    await sender.add(events=[sender.event(0, "hard_bounced", detail={"cost_micros": "x", "cost_currency": "GBP"})])
    stub = await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    listed = await stub.ListSuppressions(pb.ListSuppressionsRequest(company_code="acme"))
    assert [each.address for each in listed.suppressions] == ["Person0@Example.com"]


async def test_whole_record_is_kept_where_the_letter_was_not_written(
    tracker: Any, sender: Sender, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracker dies between its store and `dead`: whoever reads the entry again is told of the refusal again."""
    await sender.commit(1)
    await sender.add(pack_records([MessageRecord(sender.reference(0), "acme", "june", b"\xc1")]))
    bury = type(sender.queue).bury_outcomes
    failures = iter([ConnectionError("lost")])

    async def dying(self: Any, *arguments: Any) -> int:
        for failure in failures:
            raise failure
        return await bury(self, *arguments)

    monkeypatch.setattr("services.tracker.consumer.Queue.bury_outcomes", dying)
    await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    assert [letter[b"kind"] for letter in await _letters(sender)] == [b"record"]


async def test_too_many_refusals_in_a_row_are_waited_for(
    tracker: Any, sender: Sender, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that can write nothing throws no campaign away: the next one finds it in the stream."""
    write = SqliteStore.write
    broken = True

    async def breaking(self: SqliteStore, outcome: Any) -> Any:
        if broken:
            raise TypeError("a mistake")
        return await write(self, outcome)

    monkeypatch.setattr(SqliteStore, "write", breaking)
    for index in range(150):
        await sender.send(index)
    await sender.commit(150)
    stub = await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.dead), lambda length: length == 100)
    monkeypatch.undo()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    assert await redis.xlen(sender.queue.keys.dead) == 100
    assert (await _group(stub)).counts["delivered"] == 50


async def test_refusals_are_buried_and_recorded_where_redis_is_full(tracker: Any, sender: Sender, redis: Redis) -> None:
    """What makes room again must not need room itself; a tracker may have to start in this state."""
    await sender.commit(2)
    await sender.send(0, 1)
    await redis.xadd(sender.queue.keys.outcomes, {b"records": b"not zstd"})
    await redis.set(LAYOUT, "1")
    before = str((await redis.config_get("maxmemory"))["maxmemory"])
    await redis.config_set("maxmemory", 1)
    try:
        stub = await tracker()
        await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    finally:
        await redis.config_set("maxmemory", before)
    assert len(await _letters(sender)) == 1
    assert (await _group(stub)).counts["delivered"] == 2
