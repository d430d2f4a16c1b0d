"""What a dispatcher does about senders that die, stall or keep dying."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from morpheus_kit.ids import message_id
from morpheus_kit.queue import schema
from morpheus_kit.queue.keys import SENDERS
from morpheus_kit.queue.scripts import GateItem, Queue, TakenItem
from services.dispatcher.composition import compose
from tests.integration.dispatcher.rig import Rig


async def start(rig: Rig, addresses: list[str], **shared: Any) -> list[TakenItem]:
    """Posts and starts a part, and takes it as a sender of another process."""
    await rig.post(addresses, **shared)
    (job,) = await rig.queue.read_jobs("lost", 1, 0)
    pins = b"\x82\xaaouter.html\xa11\xabletter.html\xa11"
    assert await rig.queue.start_part(job.part, job.entry_id, pins) == "started"
    taken = await rig.queue.take("lost", "n", ["test"], 100, 1000)
    assert len(taken.items) == len(addresses)
    return taken.items


async def mark(queue: Queue, items: list[TakenItem]) -> None:
    """Passes the gate as the lost sender."""
    gate = [GateItem(i.entry_id, i.element.message_id, i.element.attempt, i.part) for i in items]
    assert set(await queue.gate("test", "normal", "lost", gate)) == {"go"}


async def age(rig: Rig, items: list[TakenItem], deliveries: int = 1) -> None:
    """Lets the lease of these run out."""
    stream = rig.queue.keys.messages("test", "normal")
    for item in items:
        await rig.queue.redis.xclaim(
            stream, SENDERS, "lost", 0, [item.entry_id], idle=60_000, retrycount=deliveries, justid=True
        )


async def test_unmarked_messages_of_a_lost_sender_are_sent_once(rig: Rig) -> None:
    await age(rig, await start(rig, ["a@example.org", "b@example.org"]))
    async with rig.dispatcher():
        await rig.until()
    assert sorted(rig.calls().values()) == [1, 1]
    assert (await rig.events(0))[0].type == "sent"


async def test_marked_messages_become_uncertain_with_a_body_and_are_resent(rig: Rig) -> None:
    items = await start(rig, ["a@example.org"])
    await mark(rig.queue, items)
    await age(rig, items)
    async with rig.dispatcher(uncertain_after="100"):
        await rig.until()
        await rig.until_types(0, "uncertain", "sent", "delivered")
    first, second = (await rig.events(0))[:2]
    assert (first.reason_code, first.attempt, second.attempt) == ("worker_lost", 1, 2)
    record = (await rig.record(0))[0]
    assert (record.rendered, record.reconstructed) == (True, True)


async def test_marked_messages_of_a_group_that_gives_up_fail_without_a_call(rig: Rig) -> None:
    items = await start(rig, ["a@example.org"], on_uncertain="give_up")
    await mark(rig.queue, items)
    await age(rig, items)
    async with rig.dispatcher(uncertain_after="100"):
        await rig.until()
    assert await rig.types(0) == ["uncertain", "failed"]
    assert rig.calls().total() == 0


async def test_messages_taken_over_twice_are_handled_alone(rig: Rig) -> None:
    await age(rig, await start(rig, ["a@example.org", "b@example.org"]), deliveries=2)
    async with rig.dispatcher():
        await rig.until()
    assert sorted(rig.renderer.slices) == [["a@example.org"], ["b@example.org"]]


async def test_a_message_that_killed_its_sender_each_time_is_dead(rig: Rig) -> None:
    items = await start(rig, ["a@example.org", "b@example.org"])
    await age(rig, items[:1], deliveries=5)
    await age(rig, items[1:])
    async with rig.dispatcher():
        await rig.until()
    (event,) = await rig.events(0)
    assert (event.type, event.reason_code) == ("failed", "dead_letter")
    assert rig.calls().total() == 1


async def test_what_a_lane_drops_is_found_by_its_own_process(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    bugs = [RuntimeError("a bug")]

    def compose_once(*args: Any) -> Any:
        if bugs:
            raise bugs.pop()
        return compose(*args)

    monkeypatch.setattr("services.dispatcher.delivery.compose", compose_once)
    async with rig.dispatcher(lease="0.5"):
        await rig.post(["a@example.org"])
        await rig.until()
    assert rig.calls().total() == 1


async def test_a_long_rendering_keeps_its_lease(rig: Rig) -> None:
    rig.renderer.delay = 1.5
    async with rig.dispatcher(lease="0.5"):
        await rig.post(["a@example.org"])
        await rig.until()
    assert rig.renderer.slices == [["a@example.org"]]


async def test_a_newer_blob_is_left_for_a_newer_release(rig: Rig) -> None:
    newer = schema.pack(schema.QueuedMessage(99, message_id("acme", "g", 0, 0), 0, 0, 1, "a@example.org"))
    async with rig.dispatcher(lease="0.3"):
        await rig.post(["a@example.org", "b@example.org"], blobs=[newer])
        await rig.until(ended=1, waiting=1)
        await asyncio.sleep(1.5)
        assert (await rig.ledger())["waiting"] == 1
    assert await rig.queue.redis.xlen(rig.queue.keys.messages("test", "normal")) == 1
    assert await rig.queue.redis.xlen(rig.queue.keys.dead) == 0


async def test_a_newer_blob_outlives_any_number_of_older_releases(rig: Rig) -> None:
    newer = schema.pack(schema.QueuedMessage(99, message_id("acme", "g", 0, 0), 0, 0, 1, "a@example.org"))
    items = await start(rig, ["a@example.org", "b@example.org"], blobs=[newer])
    await age(rig, items, deliveries=6)
    async with rig.dispatcher():
        await rig.until(ended=1, waiting=1)
    assert await rig.queue.redis.xlen(rig.queue.keys.dead) == 1
    assert await rig.types(0) == []


async def test_a_renderer_that_stays_away_makes_no_message_dead(rig: Rig) -> None:
    await age(rig, await start(rig, [f"p{number}@example.org" for number in range(5)]), deliveries=4)
    async with rig.dispatcher(lease="0.3", renderer_addr="127.0.0.1:1"):
        await asyncio.sleep(6)
    assert (await rig.ledger())["waiting"] == 5
    assert await rig.queue.redis.xlen(rig.queue.keys.dead) == 0
    async with rig.dispatcher():
        await rig.until()
    assert sorted(rig.calls().values()) == [1] * 5


async def test_all_of_a_slice_goes_back_when_the_renderer_is_away(rig: Rig) -> None:
    large = []
    for number in range(3):
        own, name = message_id("acme", "g", 0, number), "A" * 600_000
        large.append(schema.pack(schema.QueuedMessage(1, own, number, 0, 1, "a@example.org", name)))
    items = await start(rig, ["a@example.org"] * 3, blobs=large)
    await rig.queue.hand_back("test", "normal", "lost", [(i.entry_id, i.element.message_id, i.part) for i in items])
    async with rig.dispatcher(senders="1", renderer_addr="127.0.0.1:1"):
        await asyncio.sleep(2)
    assert (await rig.ledger())["waiting"] == 3
    assert await rig.queue.redis.xlen(rig.queue.keys.messages("test", "normal")) == 0


async def test_a_group_that_cannot_be_read_stops_no_other(rig: Rig) -> None:
    await rig.post(["a@example.org"], group_id="newer")
    await rig.queue.redis.hset(rig.queue.keys.group("acme/newer"), "shared", b"\x91\x63")
    async with rig.dispatcher():
        await rig.post(["b@example.org"])
        await rig.until()
    assert (await rig.ledger("newer"))["waiting"] == 1


async def test_nothing_is_sent_while_outcomes_are_not_recorded(rig: Rig) -> None:
    for _ in range(5):
        await rig.queue.redis.xadd(rig.queue.keys.outcomes, {"x": "y"})
    async with rig.dispatcher(outcomes_limit="4"):
        await rig.post(["a@example.org"])
        await asyncio.sleep(0.5)
        assert rig.calls().total() == 0
        await rig.queue.redis.xtrim(rig.queue.keys.outcomes, maxlen=0, approximate=False)
        await rig.until()
    assert rig.calls().total() == 1
