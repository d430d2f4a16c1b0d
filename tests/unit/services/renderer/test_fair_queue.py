"""Who gets what there is little of."""

from __future__ import annotations

import asyncio

from services.renderer.fair_queue import FairQueue


async def waiting(queue: FairQueue[str], *owners: str) -> tuple[list[asyncio.Task[str]], list[str]]:
    """Calls that wait in this order, and the owners as they are served."""
    served: list[str] = []

    async def call(owner: str) -> str:
        item = await queue.get(owner)
        served.append(owner)
        return item

    tasks = [asyncio.ensure_future(call(owner)) for owner in owners]
    await asyncio.sleep(0)
    return tasks, served


async def turn_over(queue: FairQueue[str], times: int) -> None:
    for number in range(times):
        queue.put(f"item {number}")
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_an_owner_with_many_calls_keeps_nobody_waiting_for_more_than_one() -> None:
    queue: FairQueue[str] = FairQueue()
    _, served = await waiting(queue, *["flood"] * 5, "ann", "bob", "ann")
    await turn_over(queue, 8)
    assert served == ["flood", "ann", "bob", "flood", "ann", "flood", "flood", "flood"]


async def test_an_idle_item_is_taken_at_once_and_the_last_used_first() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("cold")
    queue.put("warm")
    assert await queue.get("a") == "warm"
    assert queue.take_idle() == ["cold"]
    assert queue.take_idle() == []


async def test_who_gives_up_waiting_takes_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    tasks, served = await waiting(queue, "gone", "gone", "ann")
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.sleep(0)
    await turn_over(queue, 2)
    assert served == ["ann"]
    assert queue.take_idle() == ["item 1"]


async def test_an_item_that_comes_as_its_caller_gives_up_is_not_lost() -> None:
    queue: FairQueue[str] = FairQueue()
    tasks, served = await waiting(queue, "gone", "ann")
    queue.put("item")
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == ["ann"]
    assert tasks[1].result() == "item"
