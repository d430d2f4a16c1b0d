"""`as_of`: all that was queued up to that time is in the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from morpheus.tracker.v1 import tracker_pb2 as pb
from redis.asyncio import Redis

from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.keys import TRACKERS
from morpheus_kit.queue.scripts import Queue
from services.tracker.consumer import Consumer
from services.tracker.erasures import Erasures
from services.tracker.outbox import Outbox
from services.tracker.store.sqlite import SqliteStore
from services.tracker.suppressions import Suppressions
from tests.integration.tracker.rig import ACCEPTED_MS, SECRET, Sender, until

_MESSAGES = 30


async def test_an_answer_holds_all_that_was_queued_before_its_as_of(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(_MESSAGES)
    queued: list[int] = []

    async def ask() -> Any:
        group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
        as_of = group.as_of.ToMilliseconds()
        assert _MESSAGES - group.counts["queued"] >= sum(at <= as_of for at in queued)
        return as_of

    for index in range(_MESSAGES):
        await sender.send(index)
        seconds, micros = await redis.time()
        queued.append(int(seconds) * 1000 + int(micros) // 1000)
        await ask()
    await until(ask, lambda as_of: as_of >= queued[-1])


async def test_as_of_waits_for_what_others_hold_and_for_what_is_not_seen_yet(
    queue: Queue, redis: Redis, tmp_path: Path
) -> None:
    clock = ManualClock(ACCEPTED_MS)
    store = SqliteStore(tmp_path / "records.db", clock)
    store.lag_ms = 1_000
    await store.start()
    hasher = AddressHasher(SECRET)
    suppressions = Suppressions(store, [queue], hasher, clock)
    erasures = Erasures(store, [queue], hasher, Outbox(""), clock)
    consumer = Consumer(queue, store, suppressions, erasures, clock, "mine")
    consumer._claim_at = float("inf")
    try:
        assert consumer.recorded_ms == 0
        await consumer.step()
        assert consumer.recorded_ms == 0, "written is not yet seen"
        clock.advance(1)
        assert consumer.recorded_ms == ACCEPTED_MS

        await redis.xadd(queue.keys.outcomes, {"x": "1"}, id=f"{ACCEPTED_MS + 500}-0")
        await redis.xreadgroup(TRACKERS, "another", {queue.keys.outcomes: ">"})
        for _ in range(3):
            await consumer.step()
            clock.advance(1)
        assert consumer.recorded_ms == ACCEPTED_MS + 499, "another tracker has not written it"

        await queue.ack_outcomes([f"{ACCEPTED_MS + 500}-0".encode()])
        await consumer.step()
        assert consumer.recorded_ms == ACCEPTED_MS + 499
        clock.advance(1)
        assert consumer.recorded_ms == ACCEPTED_MS + 4_000
    finally:
        await store.stop()
