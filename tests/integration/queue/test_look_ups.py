"""What a provider is to be asked for lies in the queue, with the message that is in doubt."""

from __future__ import annotations

from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.scripts import TakenItem
from tests.integration.queue.rig import METHOD, PRIORITY, REFERENCE, Rig, now_ms
from tests.integration.queue.test_control_steps import receipt

LEASE_MS = 30_000


async def uncertain(rig: Rig, *, ask_ms: int, provider: str = "mandrill", count: int = 1) -> list[TakenItem]:
    """Messages that this provider may have."""
    await rig.post_and_start(count=count)
    items = (await rig.take()).items
    await rig.gate(items)
    commits = [
        rig.outcome(item, "uncertain", due_ms=now_ms() + 60_000)._replace(
            element=pack_element(item.element.message_id, item.element.blob, provider=provider), ask_ms=ask_ms
        )
        for item in items
    ]
    assert all(await rig.queue.commit_sends(METHOD, PRIORITY, rig.me, commits, b""))
    return items


async def test_one_asker_at_a_time_gets_it_when_it_is_due(rig: Rig) -> None:
    due = now_ms() + 60_000
    (item,) = await uncertain(rig, ask_ms=now_ms() + 40_000)
    asks = rig.queue.keys.asks("mandrill")
    assert await rig.queue.look_up("mandrill", LEASE_MS) is None
    await rig.redis.zadd(asks, {item.element.message_id: 1})
    found = await rig.queue.look_up("mandrill", LEASE_MS)
    assert found is not None
    assert (found.reference, found.element.provider) == (f"{REFERENCE}-{item.element.message_id}", "mandrill")
    assert 0 <= found.due_ms - due < 5_000
    assert found.element.blob == item.element.blob
    assert await rig.queue.look_up("mandrill", LEASE_MS) is None
    assert 0 < await rig.redis.zscore(asks, item.element.message_id) - now_ms() <= LEASE_MS


async def test_one_who_asked_and_died_is_followed_by_another(rig: Rig) -> None:
    await uncertain(rig, ask_ms=1)
    first = await rig.queue.look_up("mandrill", 0)
    assert first is not None
    assert await rig.queue.look_up("mandrill", LEASE_MS) == first


async def test_no_other_provider_is_asked_and_none_where_none_can_be(rig: Rig) -> None:
    await uncertain(rig, ask_ms=1)
    assert await rig.queue.look_up("ses", LEASE_MS) is None
    assert await rig.queue.look_up("mandrill", LEASE_MS)
    await rig.redis.flushall()
    await rig.queue.prepare()
    await rig.queue.suppressions_known()
    await uncertain(rig, ask_ms=0)
    assert not await rig.redis.exists(rig.queue.keys.asks("mandrill"))


async def test_asked_in_vain_it_is_asked_for_again_at_its_time_or_no_more(rig: Rig) -> None:
    (item,) = await uncertain(rig, ask_ms=1)
    name, asks = item.element.message_id, rig.queue.keys.asks("mandrill")
    for _ in range(2):
        await rig.queue.looked_up("mandrill", name, 77)
        assert await rig.redis.zscore(asks, name) == 77
    for _ in range(2):
        await rig.queue.looked_up("mandrill", name, 0)
        assert not await rig.redis.exists(asks)
    await rig.queue.looked_up("mandrill", name, 88)
    assert not await rig.redis.exists(asks)
    assert await rig.ledger() == (0, 0, 1, 0)


async def test_what_was_settled_meanwhile_is_asked_for_no_more(rig: Rig) -> None:
    items = await uncertain(rig, ask_ms=1, count=2)
    await rig.queue.receipt([receipt(items[0].element.message_id)])
    found = await rig.queue.look_up("mandrill", LEASE_MS)
    assert found is not None
    assert found.element.message_id == items[1].element.message_id
    await rig.queue.receipt([receipt(items[1].element.message_id)])
    await rig.redis.zadd(rig.queue.keys.asks("mandrill"), {items[1].element.message_id: 1})
    assert await rig.queue.look_up("mandrill", LEASE_MS) is None
    assert not await rig.redis.exists(rig.queue.keys.asks("mandrill"))


async def test_a_message_of_a_lost_sender_is_asked_for_too(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    items = (await rig.take()).items
    await rig.gate(items)
    other = rig.as_consumer("other")
    (recovered,) = await other.claim()
    element = pack_element(recovered.message_id, items[0].element.blob, provider="mandrill")
    item = recovered._replace(element=element, due_ms=now_ms() + 60_000, ask_ms=1)
    for _ in range(2):
        await other.recover([item])
    found = await rig.queue.look_up("mandrill", LEASE_MS)
    assert found is not None
    assert found.element.message_id == recovered.message_id
