"""Receipts, timer and control words, each called twice with one effect."""

import asyncio

import pytest

from morpheus_kit.errors import ConflictError, NotFoundError, UnavailableError
from morpheus_kit.queue.scripts import Receipt
from tests.integration.queue.rig import REFERENCE, Rig, now_ms, packed_event


def receipt(message_id: str) -> Receipt:
    return Receipt(f"{REFERENCE}-{message_id}", message_id, packed_event(message_id, "delivered", 0))


async def test_a_receipt_settles_an_uncertain_message_once(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "uncertain", due_ms=now_ms() + 60_000)
    message = items[0].element.message_id
    assert [await rig.queue.receipt([receipt(message)]) for _ in range(2)] == [1, 0]
    assert await rig.ledger() == (0, 0, 0, 1)
    assert [event[1:] for event in await rig.events()] == [
        ("uncertain", 1),
        ("delivered", 0),
        ("sent", 1),
        ("delivered", 0),
    ]


async def test_a_receipt_before_the_answer_turns_uncertain_into_sent(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    for _ in range(2):
        assert await rig.queue.receipt([receipt(items[0].element.message_id)]) == 0
    await rig.commit_sends(items, "uncertain")
    assert await rig.ledger() == (0, 0, 0, 1)
    assert (await rig.events())[-1][1:] == ("sent", 1)
    assert await rig.redis.hlen(rig.queue.keys.doubt) == 0


async def test_a_receipt_stops_the_resend_wherever_it_is(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "uncertain")
    await rig.queue.timer(100)
    await rig.queue.receipt([receipt(items[0].element.message_id)])
    resend = (await rig.take()).items
    assert await rig.gate(resend) == ["done"]
    assert await rig.ledger() == (0, 0, 0, 1)
    assert (await rig.events())[-1][1:] == ("sent", 1)


async def test_a_receipt_of_a_lost_sender_settles_at_recovery(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.queue.receipt([receipt(items[0].element.message_id)])
    other = rig.as_consumer("other")
    assert await other.recover(await other.claim()) == [True]
    assert await rig.ledger() == (0, 0, 0, 1)


async def test_a_receipt_of_an_unknown_message_is_kept(rig: Rig) -> None:
    assert await rig.queue.receipt([receipt("nobody")]) == 0
    assert await rig.events() == [("nobody", "delivered", 0)]


async def test_receipts_stop_at_their_own_limit(rig: Rig) -> None:
    await rig.queue.receipt([receipt("a")])
    with pytest.raises(UnavailableError):
        await rig.queue.receipt([receipt("b")], outcomes_limit=0)


async def test_what_is_buried_twice_is_in_dead_once_and_its_entry_gone(rig: Rig) -> None:
    queue = rig.queue
    entry = await queue.redis.xadd(queue.keys.outcomes, {"records": b"\x00"})
    for added in (2, 0):
        assert await queue.bury_outcomes([entry], [{b"kind": b"record", b"n": b"1"}, {b"kind": b"outcome"}]) == added
    letters = [fields for _, fields in await queue.redis.xrange(queue.keys.dead)]
    assert letters == [{b"kind": b"record", b"n": b"1"}, {b"kind": b"outcome"}]
    assert await queue.redis.xlen(queue.keys.outcomes) == 0


async def test_a_part_with_send_at_starts_when_it_is_due(rig: Rig) -> None:
    due = now_ms() + 200
    await rig.post(send_ms=due)
    assert await rig.queue.timer(10) == (0, due)
    assert await rig.start() == []
    await rig.redis.zadd(rig.queue.keys.due, {"acme/g/0": 1})
    for moved in (1, 0):
        assert await rig.queue.timer(10) == (moved, None)
    assert await rig.start() == ["started"]
    assert len((await rig.take()).items) == 3


async def test_pause_and_resume_twice_have_one_effect(rig: Rig) -> None:
    await rig.post_and_start()
    assert [await rig.queue.pause("acme/g", "k") for _ in range(2)] == [("paused", 3), ("paused", 0)]
    assert (await rig.take()).status == "idle"
    assert await rig.redis.llen("morpheus:{0}:ring:test:normal") == 0
    assert [await rig.queue.resume("acme/g", "k") for _ in range(2)] == [("running", 0), ("running", 0)]
    assert len((await rig.take()).items) == 3
    operations = [(e.type, e.key_id) for outcome in await rig.outcomes() for e in outcome.group_events]
    assert operations == [("paused", "k"), ("resumed", "k")]


async def test_a_group_paused_before_its_job_waits_for_resume(rig: Rig) -> None:
    await rig.post()
    await rig.queue.pause("acme/g", "k", "provider_refused", "because")
    state = await rig.queue.group_state("acme/g")
    assert state is not None
    assert (state["reason_code"], state["reason_text"]) == (b"provider_refused", b"because")
    assert await rig.start() == ["started"]
    assert (await rig.take()).status == "idle"
    await rig.queue.resume("acme/g", "k")
    assert len((await rig.take()).items) == 3


async def test_a_retry_of_a_paused_group_waits_for_resume(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.queue.pause("acme/g", "k")
    await rig.commit_sends(items, "retry")
    assert (await rig.queue.timer(10)).moved == 1
    assert (await rig.take()).status == "idle"
    await rig.queue.resume("acme/g", "k")
    assert len((await rig.take()).items) == 1


async def test_resume_after_a_changed_template_pins_anew(rig: Rig) -> None:
    await rig.post_and_start()
    await rig.queue.pause("acme/g", "k", "template_changed", "a.html")
    await rig.queue.resume("acme/g", "k")
    assert await rig.queue.pins("acme/g/0") is None
    assert await rig.start() == ["started"]
    assert len((await rig.take()).items) == 3


async def test_cancel_twice_stops_what_waits_once(rig: Rig) -> None:
    await rig.post_and_start()
    assert [await rig.queue.cancel("acme/g", "k") for _ in range(2)] == [("cancelled", 3), ("cancelled", 0)]
    with pytest.raises(ConflictError):
        await rig.queue.resume("acme/g", "k")
    assert await rig.queue.pause("acme/g", "k") == ("cancelled", 0)


@pytest.mark.parametrize("send_ms", [pytest.param(0, id="now"), pytest.param(now_ms() + 3_600_000, id="in an hour")])
async def test_cancel_ends_parts_that_have_not_started(rig: Rig, send_ms: int) -> None:
    await rig.post(send_ms=send_ms)
    await rig.queue.cancel("acme/g", "k")
    assert (await rig.take()).ended == 3
    assert set(await rig.start()) <= {"repeated"}
    assert await rig.queue.timer(10) == (0, None)
    assert await rig.ledger() == (0, 0, 0, 3)


async def test_cancel_ends_a_paused_group(rig: Rig) -> None:
    await rig.post_and_start()
    await rig.queue.pause("acme/g", "k")
    assert await rig.queue.cancel("acme/g", "k") == ("cancelled", 3)
    assert (await rig.take()).ended == 3


async def test_cancelled_uncertain_messages_are_given_up(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "uncertain")
    await rig.queue.cancel("acme/g", "k")
    assert await rig.ledger() == (0, 0, 1, 0)
    await rig.queue.timer(10)
    assert await rig.ledger() == (0, 0, 0, 1)


async def test_cancel_brings_far_retries_forward(rig: Rig) -> None:
    for group in ("acme/g", "acme/h"):
        await rig.post_and_start(group, count=300)
        items = (await rig.take(300)).items
        await rig.gate(items)
        await rig.commit_sends(items, "retry", due_ms=now_ms() + 3_600_000)
    assert await rig.queue.cancel("acme/g", "k") == ("cancelled", 300)
    async with asyncio.timeout(10):
        while await rig.ledger() != (0, 0, 0, 300):
            await rig.queue.timer(200)
            await rig.take()
    assert await rig.ledger("acme/h") == (300, 0, 0, 0)
    assert (await rig.queue.timer(200)).moved == 0


async def test_no_control_word_changes_a_finished_group(rig: Rig) -> None:
    await rig.post_and_start("acme/g", count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "sent")
    await rig.post("acme/h", count=0, total=1, rejected=1, parts=1)
    for group in ("acme/g", "acme/h"):
        before = await rig.queue.group_state(group)
        for step in (rig.queue.pause, rig.queue.resume, rig.queue.cancel):
            assert await step(group, "k") == ("finished", 0)
        assert await rig.queue.group_state(group) == before


async def test_control_of_no_group_is_not_found(rig: Rig) -> None:
    for step in (rig.queue.pause, rig.queue.resume, rig.queue.cancel):
        with pytest.raises(NotFoundError):
            await step("acme/none", "k")
