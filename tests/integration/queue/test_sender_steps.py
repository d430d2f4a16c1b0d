"""Take, gate, commit, recovery and hand-back, each called twice with one effect."""

import asyncio

import pytest

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.scripts import HandBackItem
from tests.integration.queue.rig import METHOD, PRIORITY, Rig, now_ms, packed_event


async def test_take_with_the_same_nonce_answers_the_same(rig: Rig) -> None:
    await rig.post_and_start(count=5)
    first = await rig.queue.take("me", "n", [METHOD], 3, 1000)
    assert await rig.queue.take("me", "n", [METHOD], 3, 1000) == first
    assert len(first.items) == 3
    second = await rig.queue.take("me", "o", [METHOD], 3, 1000)
    assert len(second.items) == 2
    assert (await rig.take()).status == "idle"
    assert await rig.ledger() == (5, 0, 0, 0)


async def test_take_is_refused_while_outcomes_are_not_recorded(rig: Rig) -> None:
    await rig.post_and_start()
    await rig.queue.pause("acme/g", "key")
    await rig.queue.resume("acme/g", "key")
    assert (await rig.take(limit=1)).status == "full"
    assert (await rig.take(limit=2)).status == "ok"


async def test_take_serves_high_priority_first_and_companies_in_turn(rig: Rig) -> None:
    for group in ("acme/big", "acme/small", "beta/one"):
        await rig.post_and_start(group, count=200)
    await rig.post_and_start("zeta/fast", count=30, priority="high")
    taken = await rig.take(180)
    order = list(dict.fromkeys(item.part for item in taken.items))
    assert order[:3] == ["zeta/fast/0", "acme/big/0", "beta/one/0"]
    assert [sum(i.part == part for i in taken.items) for part in order[:3]] == [30, 90, 60]
    taken = await rig.take(180)
    assert {item.part for item in taken.items} == {"acme/small/0", "beta/one/0"}


async def test_take_asks_only_for_the_methods_named(rig: Rig) -> None:
    await rig.post_and_start("acme/a", method="smtp")
    assert (await rig.take()).status == "idle"
    assert len((await rig.take(methods=["test", "smtp"])).items) == 3


async def test_take_ends_what_is_cancelled_in_slices(rig: Rig) -> None:
    await rig.post_and_start(count=600)
    assert (await rig.queue.cancel("acme/g", "key")).stopped == 600
    assert [(await rig.take()).ended for _ in range(3)] == [500, 100, 0]
    assert await rig.ledger() == (0, 0, 0, 600)
    assert {kind for _, kind, _ in await rig.events()} == {"cancelled"}
    assert sum(len(outcome.messages) for outcome in await rig.outcomes()) == 600


async def test_take_ends_what_has_expired(rig: Rig) -> None:
    await rig.post_and_start(expires_ms=now_ms() - 1000)
    assert (await rig.take()).ended == 3
    assert {kind for _, kind, _ in await rig.events()} == {"expired"}


async def test_gate_twice_moves_the_ledger_once(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    for _ in range(2):
        assert await rig.gate(items) == ["go", "go", "go"]
        assert await rig.ledger() == (0, 3, 0, 0)
    assert await rig.as_consumer("other").gate(items) == ["lost"] * 3


async def test_gate_refuses_what_another_took_over(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    other = rig.as_consumer("other")
    assert len(await other.claim()) == 3
    assert await rig.gate(items) == ["lost"] * 3
    assert await other.gate(items) == ["go"] * 3


async def test_gate_ends_what_is_cancelled(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    await rig.queue.cancel("acme/g", "key")
    assert await rig.gate(items) == ["done"] * 3
    assert await rig.gate(items) == ["lost"] * 3
    assert await rig.ledger() == (0, 0, 0, 3)
    assert len((await rig.outcomes())[-1].messages) == 3


async def test_a_retry_after_the_end_expires_in_time(rig: Rig) -> None:
    await rig.post_and_start(expires_ms=now_ms() + 400)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "retry", due_ms=now_ms() + 3_600_000)
    assert (await rig.queue.timer(10)).moved == 0
    await asyncio.sleep(0.5)
    assert (await rig.queue.timer(10)).moved == 3
    assert (await rig.take()).ended == 3
    assert (await rig.events())[-1][1] == "expired"
    assert await rig.ledger() == (0, 0, 0, 3)


async def test_gate_ends_what_has_expired(rig: Rig) -> None:
    await rig.post_and_start(expires_ms=now_ms() + 300)
    items = (await rig.take()).items
    await asyncio.sleep(0.35)
    assert await rig.gate(items) == ["done"] * 3
    assert {kind for _, kind, _ in await rig.events()} == {"expired"}


async def test_gate_returns_what_is_paused_in_its_order(rig: Rig) -> None:
    await rig.post_and_start(count=5)
    items = (await rig.take(3)).items
    await rig.queue.pause("acme/g", "key")
    assert await rig.gate(items) == ["back"] * 3
    assert (await rig.take()).status == "idle"
    await rig.queue.resume("acme/g", "key")
    taken = await rig.take()
    assert [i.element.message_id[-1] for i in taken.items] == ["0", "1", "2", "3", "4"]
    assert await rig.ledger() == (5, 0, 0, 0)


async def test_gate_stops_when_memory_is_short(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    await rig.queue.check_memory(1.0)
    rig.queue._memory_share = 0.86
    with pytest.raises(UnavailableError):
        await rig.gate(items)


async def test_sent_twice_is_ended_once(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    await rig.gate(items)
    assert await rig.commit_sends(items, "sent") == [True] * 3
    assert await rig.commit_sends(items, "sent") == [False] * 3
    assert await rig.ledger() == (0, 0, 0, 3)
    assert await rig.redis.xlen(rig.queue.keys.messages(METHOD, PRIORITY)) == 0
    assert await rig.redis.hlen(rig.queue.keys.inflight) == 0
    assert 0 < await rig.redis.ttl(rig.queue.keys.group("acme/g")) <= 31 * 86400


async def test_rejected_needs_ownership_and_no_mark(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    assert await rig.as_consumer("other").commit_sends(items, "rejected") == [False] * 3
    for effect in (True, False):
        assert await rig.commit_sends(items, "rejected") == [effect] * 3
        assert await rig.ledger() == (0, 0, 0, 3)


async def test_retry_waits_and_comes_back_with_its_next_attempt(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    for effect in (True, False):
        assert await rig.commit_sends(items, "retry", due_ms=now_ms() - 1) == [effect]
        assert await rig.ledger() == (1, 0, 0, 0)
    assert (await rig.queue.timer(100)).moved == 1
    assert (await rig.queue.timer(100)).moved == 0
    (again,) = (await rig.take()).items
    assert (again.element.attempt, again.element.tries) == (2, 1)


async def test_a_retry_that_is_not_due_stays(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    due = now_ms() + 60_000
    await rig.commit_sends(items, "throttled", due_ms=due)
    assert await rig.queue.timer(100) == (0, due)


async def test_a_transient_failure_of_a_cancelled_group_ends_it(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    assert (await rig.queue.cancel("acme/g", "key")).stopped == 0
    await rig.commit_sends(items, "retry")
    assert await rig.ledger() == (0, 0, 0, 1)
    assert (await rig.events())[-1][1:] == ("cancelled", 1)


async def test_uncertain_is_resent_once_and_then_given_up(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    for effect in (True, False):
        assert await rig.commit_sends(items, "uncertain") == [effect]
        assert await rig.ledger() == (0, 0, 1, 0)
    await rig.queue.timer(100)
    (again,) = (await rig.take()).items
    assert (again.element.attempt, again.element.tries) == (2, 0)
    await rig.gate([again])
    assert await rig.commit_sends([again], "uncertain") == [True]
    assert await rig.ledger() == (0, 0, 0, 1)
    assert [kind for _, kind, _ in await rig.events()] == ["uncertain", "failed"]
    assert await rig.redis.hlen(rig.queue.keys.doubt) == 0


async def test_uncertain_is_given_up_where_the_policy_says_so(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "uncertain", policy="give_up")
    await rig.queue.timer(100)
    assert await rig.ledger() == (0, 0, 0, 1)
    assert (await rig.outcomes())[-1].events[0].reason_code == "uncertain_given_up"


async def test_a_lost_sender_makes_its_marked_entries_uncertain(rig: Rig) -> None:
    await rig.post_and_start(count=2)
    items = (await rig.take()).items
    await rig.gate(items[:1])
    other = rig.as_consumer("other")
    claimed = await rig.queue.claim(METHOD, PRIORITY, "other", 0, 10)
    assert [c.mark for c in claimed] == ["me 1 acme/g/0", None]
    assert [c.deliveries for c in claimed] == [2, 2]
    again = await rig.as_consumer("third").claim()
    assert await other.recover(again) == [False, False]
    third = rig.as_consumer("third")
    assert await third.recover(again) == [True, False]
    assert await third.recover(again) == [False, False]
    assert await rig.ledger() == (1, 0, 1, 0)


async def test_own_entries_are_not_claimed(rig: Rig) -> None:
    await rig.post_and_start()
    await rig.take()
    assert await rig.queue.claim(METHOD, PRIORITY, "me", 0, 10) == []
    assert await rig.queue.claim("smtp", PRIORITY, "me", 0, 10) == []


async def test_a_slow_owner_settles_what_was_recovered(rig: Rig) -> None:
    await rig.post_and_start(count=3)
    items = (await rig.take()).items
    await rig.gate(items)
    other = rig.as_consumer("other")
    await other.recover(await other.claim())
    assert await rig.ledger() == (0, 0, 3, 0)
    assert await rig.commit_sends(items[:1], "sent") == [True]
    assert await rig.commit_sends(items[1:2], "retry", due_ms=now_ms() + 60_000) == [True]
    assert await rig.commit_sends(items[2:], "failed") == [True]
    assert await rig.ledger() == (1, 0, 0, 2)
    assert await rig.redis.zcard(rig.queue.keys.later) == 1


async def test_a_late_sent_stops_the_resend_at_the_gate(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    await rig.commit_sends(items, "uncertain")
    await rig.queue.timer(100)
    resend = (await rig.take()).items
    assert await rig.commit_sends(items, "sent") == [False]
    assert await rig.gate(resend) == ["done"]
    assert await rig.ledger() == (0, 0, 0, 1)
    assert [event[1:] for event in await rig.events()] == [("uncertain", 1), ("sent", 1), ("sent", 1)]


async def test_renew_keeps_only_own_entries(rig: Rig) -> None:
    await rig.post_and_start(count=3)
    items = (await rig.take()).items
    ids = [item.entry_id for item in items]
    await asyncio.sleep(0.06)
    for _ in range(2):
        assert await rig.queue.renew(METHOD, PRIORITY, "me", ids) == ids
    assert await rig.as_consumer("other").claim(50) == []
    await rig.as_consumer("other").claim()
    assert await rig.queue.renew(METHOD, PRIORITY, "me", ids) == []


async def test_hand_back_returns_unmarked_entries_in_their_order(rig: Rig) -> None:
    await rig.post_and_start(count=4)
    items = (await rig.take()).items
    await rig.gate(items[3:])
    back = [HandBackItem(i.entry_id, i.element.message_id, i.part) for i in items]
    assert await rig.queue.hand_back(METHOD, PRIORITY, "me", back) == 3
    assert await rig.queue.hand_back(METHOD, PRIORITY, "me", back) == 0
    taken = await rig.as_consumer("other").take()
    assert [i.element for i in taken.items] == [i.element for i in items[:3]]
    assert await rig.ledger() == (3, 1, 0, 0)


async def test_a_dead_letter_is_kept_and_its_message_failed(rig: Rig) -> None:
    await rig.post_and_start(count=2)
    items = (await rig.take()).items
    await rig.gate(items[:1])
    for item in items:
        message = item.element.message_id
        args = (METHOD, PRIORITY, "me", item.entry_id, message, "poison", packed_event(message, "failed", 1))
        assert await rig.queue.dead(*args)
        assert not await rig.queue.dead(*args)
    assert await rig.ledger() == (0, 0, 0, 2)
    letters = await rig.redis.xrange(rig.queue.keys.dead)
    assert letters[0][1][b"reason"] == b"poison"
    assert [kind for _, kind, _ in await rig.events()] == ["failed", "failed"]


async def test_a_dead_letter_does_not_hold_what_may_not_be_kept(rig: Rig) -> None:
    await rig.post_and_start(count=1, shared_kept=b"kept")
    ((item,), message) = (await rig.take()).items, "acme.g-0-0"
    assert item.element.message_id == message
    event = packed_event(message, "failed", 1)
    assert await rig.queue.dead(METHOD, PRIORITY, "me", item.entry_id, message, "poison", event)
    ((_, letter),) = await rig.redis.xrange(rig.queue.keys.dead)
    assert letter[b"element"] == b""
