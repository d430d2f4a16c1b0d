"""Small pieces of the way of a message: slices, slots, recovery's choice, pauses."""

from __future__ import annotations

import asyncio
import sys

import pytest

from morpheus_kit.clock import ManualClock
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue import schema
from morpheus_kit.queue.elements import Element
from morpheus_kit.queue.scripts import Claimed
from services.dispatcher.pauses import Wake, unless
from services.dispatcher.providers.test import TestProvider
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.recovery import slices_of
from services.dispatcher.routes import Route, Slots
from services.dispatcher.slices import MAX_BYTES, decode, split
from services.dispatcher.verdicts import Waits


def element(number: int = 0, *, version: int = schema.VERSION, size: int = 0) -> Element:
    message = schema.QueuedMessage(version, f"id{number}", number, 0, 1, "a@example.org", "x" * size)
    return Element(1, 0, message.id, schema.pack(message))


def test_decode_keeps_apart_what_is_broken_and_what_is_newer() -> None:
    broken = Element(1, 0, "id1", b"\xc1")
    decoded = decode([("1-0", element()), ("2-0", broken), ("3-0", element(2, version=schema.VERSION + 1))])
    assert [held.entry_id for held in decoded.held] == ["1-0"]
    assert decoded.broken == [("2-0", broken)]
    assert decoded.newer == ["3-0"]


def test_split_keeps_requests_small_but_for_one_large_message() -> None:
    sizes = [10, MAX_BYTES // 2, MAX_BYTES // 2, 3 * MAX_BYTES, 10, 10]
    held = decode([(f"{n}-0", element(n, size=size)) for n, size in enumerate(sizes)]).held
    assert [[each.message.index for each in piece] for piece in split(held)] == [[0, 1], [2], [3], [4, 5]]
    assert list(split([])) == []


def test_recovery_handles_together_then_alone_then_not_at_all() -> None:
    claimed = [Claimed(f"{n}-0", "acme/g/0", element(n), n, None) for n in (2, 2, 3, 5, 6, 9)]
    assert [[each.deliveries for each in group] for group in slices_of(claimed)] == [[2, 2], [3], [5]]


async def test_slots_give_what_is_free_and_wait_for_the_rest() -> None:
    slots = Slots(3)
    assert await slots.acquire(2) == 2
    assert await slots.acquire(5) == 1
    waiting = asyncio.ensure_future(slots.acquire(2))
    await asyncio.sleep(0)
    assert not waiting.done()
    await slots.release(1)
    assert await waiting == 1


def test_a_resting_route_takes_nothing_for_a_while() -> None:
    clock = ManualClock()
    provider = TestProvider("", ReceiptRunner({}, clock), clock, 1.0)
    assert provider.concurrency == sys.maxsize
    route = Route("test", provider, Waits((), 1.0), clock)
    states = [route.rests]
    route.rest(60)
    states.append(route.rests)
    clock.advance(60)
    assert [*states, route.rests] == [False, True, False]


def test_a_lane_takes_no_more_than_it_can_start_in_time() -> None:
    clock = ManualClock()
    provider = TestProvider("", ReceiptRunner({}, clock), clock, 1.0)
    route = Route("test", provider, Waits((), 1.0), clock)
    assert route.allowance(100, 10.0) == 100
    route.note(10, 10.0)
    assert route.allowance(100, 10.0) == 10
    route.note(1, 1000.0)
    assert route.allowance(100, 10.0) == 1
    for _ in range(50):
        route.note(100, 0.1)
    assert route.allowance(100, 10.0) == 100


async def test_a_pause_ends_when_the_service_stops() -> None:
    stopping = asyncio.Event()
    stopping.set()
    async with asyncio.timeout(1):
        await pause(stopping, 60)


async def test_work_is_cancelled_when_the_service_stops() -> None:
    stopping = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return 1

    asyncio.get_running_loop().call_soon(stopping.set)
    assert await unless(stopping, work()) is None
    assert ended.is_set()


async def test_work_that_ends_gives_its_result_and_its_error() -> None:
    async def work(*, broken: bool) -> int:
        if broken:
            raise ValueError("broken")
        return 1

    assert await unless(asyncio.Event(), work(broken=False)) == 1
    with pytest.raises(ValueError, match="broken"):
        await unless(asyncio.Event(), work(broken=True))


async def test_wake_wakes_all_who_wait() -> None:
    wake = Wake()
    waiting = [asyncio.ensure_future(wake.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    wake.set()
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)
