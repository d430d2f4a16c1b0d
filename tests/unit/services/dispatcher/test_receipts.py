"""Receipts by their time, many in one call, all of them before the service ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec

from morpheus_kit.clock import ManualClock
from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.schema import Event
from morpheus_kit.queue.scripts import Queue, Receipt
from services.dispatcher.providers.base import ProviderReceipt
from services.dispatcher.receipts import ReceiptRunner


class Told:
    """A queue that only listens."""

    def __init__(self, *, away: int = 0) -> None:
        self.calls: list[list[str]] = []
        self.away = away

    async def receipt(self, items: Sequence[Receipt]) -> int:
        if self.away:
            self.away -= 1
            raise UnavailableError
        self.calls.append([msgspec.msgpack.decode(item.event, type=Event).type for item in items])
        return 0


def receipt(kind: str, partition: int = 0) -> ProviderReceipt:
    return ProviderReceipt(partition, "id", Event("ref", kind, 1, 1, "test"))


def runner(told: Told, clock: ManualClock) -> ReceiptRunner:
    return ReceiptRunner({0: cast("Queue", told)}, clock)


async def test_receipts_are_told_in_order_of_time_and_the_rest_at_the_end() -> None:
    told, clock = Told(), ManualClock()
    receipts = runner(told, clock)
    receipts.schedule(receipt("opened"), 2.0)
    receipts.schedule(receipt("delivered"), 1.0, times=2)
    receipts.schedule(receipt("clicked"), 60.0)
    stopping = asyncio.Event()
    task = asyncio.ensure_future(receipts.run(stopping))
    await asyncio.sleep(0)
    assert told.calls == []
    clock.advance(2)
    async with asyncio.timeout(5):
        while not told.calls:
            await asyncio.sleep(0.01)
    assert told.calls == [["delivered", "delivered", "opened"]]
    stopping.set()
    await task
    assert told.calls[1:] == [["clicked"]]


async def test_many_are_told_in_bounded_calls() -> None:
    told = Told()
    await runner(told, ManualClock()).deliver([receipt("delivered")] * 1100)
    assert [len(call) for call in told.calls] == [500, 500, 100]


async def test_a_queue_that_is_away_is_asked_again() -> None:
    told = Told(away=1)
    await runner(told, ManualClock()).deliver([receipt("delivered")])
    assert told.calls == [["delivered"]]
