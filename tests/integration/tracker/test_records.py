"""What the tracker records, and what becomes of what it cannot record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb
from redis.asyncio import Redis

from morpheus_kit import errors
from morpheus_kit.config import ConfigError
from morpheus_kit.queue.keys import TRACKERS
from morpheus_kit.queue.outcomes import pack_records
from morpheus_kit.queue.schema import Event, MessageRecord, pack
from morpheus_kit.rpc.status import from_rpc_error
from services.tracker.app import build
from services.tracker.config import Config
from services.tracker.store.base import StoreDownError
from services.tracker.store.sqlite import SqliteStore
from tests.integration.tracker.rig import ACCEPTED_MS, SECRET, Sender, until


async def test_recorded_entries_leave_the_stream(tracker: Any, sender: Sender, redis: Redis) -> None:
    await sender.commit(1)
    await sender.send(0)
    await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    assert (await redis.xpending(sender.queue.keys.outcomes, TRACKERS))["pending"] == 0


async def test_messages_that_ended_unrendered_are_recorded(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(3)
    stopped = await sender.queue.cancel("acme/june", "ops")
    assert stopped.stopped == 3
    await sender.queue.start_part("acme/june/0", "0-1", b"\x80")
    await sender.queue.take("c1", "n1", ["test"], 10, 1000)

    async def ask() -> Any:
        return (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group

    group = await until(ask, lambda group: group.control == "finished")
    assert group.counts["cancelled"] == 3
    assert [(each.type, each.key_id) for each in group.operations] == [("cancelled", "ops")]
    listed = await stub.ListMessages(pb.ListMessagesRequest(company_code="acme", state="cancelled"))
    assert {message.address for message in listed.messages} == {f"Person{index}@Example.com" for index in range(3)}
    assert {message.reason.code for message in listed.messages} == {"group_cancelled"}


async def test_outcomes_of_a_tracker_that_died_are_recorded_by_the_next(
    tracker: Any, sender: Sender, redis: Redis
) -> None:
    await sender.commit(1)
    await sender.send(0)
    taken = await redis.xreadgroup(TRACKERS, "dead-consumer", {sender.queue.keys.outcomes: ">"})
    assert taken
    await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)


async def test_poison_goes_to_dead_and_the_others_go_on(tracker: Any, sender: Sender, redis: Redis) -> None:
    keys = sender.queue.keys
    await redis.xadd(keys.outcomes, {b"records": b"not zstd"})
    await redis.xadd(keys.outcomes, {b"events": b"\x91\xc1"})
    too_large = Event(sender.reference(1), "sent", 1, 2**63)
    await sender.add(events=[too_large])
    await sender.commit(1)
    await sender.send(0)
    stub = await tracker()
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 0)
    assert await redis.xlen(keys.dead) == 3
    assert len((await stub.ListMessages(pb.ListMessagesRequest(company_code="acme"))).messages) == 1


async def test_record_that_cannot_be_read_is_kept_stripped(tracker: Any, sender: Sender, redis: Redis) -> None:
    keys = sender.queue.keys
    await sender.commit(2)
    bad = MessageRecord(sender.reference(0), "acme", "june", b"\xc1")
    await sender.add(pack_records([bad, sender.record(1)]), [sender.event(0, "sent"), sender.event(1, "sent")])
    stub = await tracker()
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 0)
    assert await redis.xlen(keys.dead) == 1
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.counts["sent"], group.control) == (2, "finished")


async def test_store_that_is_down_loses_nothing(
    tracker: Any, sender: Sender, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sender.queue.keys
    down = True
    write = SqliteStore.write

    async def failing(self: SqliteStore, outcome: Any) -> Any:
        if down:
            raise StoreDownError("disk full")
        return await write(self, outcome)

    monkeypatch.setattr(SqliteStore, "write", failing)
    await sender.commit(2)
    stub = await tracker()
    await until(lambda: redis.xpending(keys.outcomes, TRACKERS), lambda pending: pending["pending"] == 1)
    await sender.send(0, 1)
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.total, group.counts["queued"]) == (2, 2)
    down = False
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 0)
    assert len((await stub.ListMessages(pb.ListMessagesRequest(company_code="acme"))).messages) == 2
    assert await redis.xlen(keys.dead) == 0


async def test_entry_of_a_newer_release_is_left_alone(tracker: Any, sender: Sender, redis: Redis) -> None:
    newer = msgspec.msgpack.encode([2, sender.message_id(0), 0, 0, ACCEPTED_MS, "a@example.com"])
    await sender.add(records=pack_records([MessageRecord(sender.reference(0), "acme", "june", newer)]))
    await sender.commit(1)
    await tracker()
    keys = sender.queue.keys
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 1)
    await asyncio.sleep(0.1)
    assert (await redis.xlen(keys.outcomes), await redis.xlen(keys.dead)) == (1, 0)


async def test_restarted_tracker_keeps_its_records(tracker: Any, sender: Sender, redis: Redis) -> None:
    await tracker()
    await sender.commit(2)
    await sender.send(0)
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    stub = await tracker()
    await sender.send(0, 1)
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    listed = await stub.ListMessages(pb.ListMessagesRequest(company_code="acme", query="zoe angstrom"))
    assert len(listed.messages) == 2
    assert not listed.messages[0].html


async def test_second_process_is_refused(tracker: Any, redis_url: str, tmp_path: Path) -> None:
    await tracker()
    unit = await build(
        Config(
            tracker_addr="127.0.0.1:0",
            redis_url=redis_url,
            records_url=f"sqlite:///{tmp_path / 'records.db'}",
            token_secret=SECRET,
            address_secret=SECRET,
        )
    )
    with pytest.raises(ConfigError, match="another process"):
        await unit.serve(asyncio.Event())
    await unit.parts[0].stop()


async def test_inputs_are_those_of_messages_that_can_be_sent_again(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(6)
    await sender.send(0, kinds=())
    await sender.add(events=[sender.event(0, "failed", reason_code="bounced")])
    await sender.send(1, kinds=("failed",))
    await sender.send(2, kinds=("deferred",))
    await sender.send(3, kinds=())
    await sender.add(events=[sender.event(3, "rejected", reason_code="address_invalid")])
    bad = MessageRecord(sender.reference(4), "acme", "june", b"\xc1")
    await sender.add(pack_records([bad]), [sender.event(4, "failed")])
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)

    async def read(**fields: Any) -> set[bytes]:
        answers = [each async for each in stub.ReadInputs(pb.ReadInputsRequest(company_code="acme", **fields))]
        assert {each.shared for each in answers} == {pack(sender.shared)}
        return {message for each in answers for message in each.messages}

    async def refusal(**fields: Any) -> type[errors.MorpheusError]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(**fields)
        return type(from_rpc_error(caught.value))

    assert await read(message_id=sender.message_id(1)) == {sender.blob(1)}
    assert await read(group_id="june") == {sender.blob(0), sender.blob(1)}
    assert await read(group_id="june", reasons=["bounced"]) == {sender.blob(0)}
    for index in (2, 3, 4):  # still under way; its address is impossible; its record was kept stripped
        assert await refusal(message_id=sender.message_id(index)) is errors.ConflictError
    assert await refusal(group_id="june", states=["rejected"]) is errors.ConflictError
    assert await refusal(group_id="june", states=["deferred"]) is errors.InvalidInputError
    assert await refusal(group_id="june", reasons=["lost"]) is errors.InvalidInputError
    assert await refusal(group_id="none") is errors.NotFoundError
