"""Receipts of requests of the same moment go together, in order, and each request hears of its own."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.schema import Event
from morpheus_kit.queue.scripts import Queue, Receipt
from services.tracker.webhooks.base import partition_of
from services.tracker.webhooks.receipts import ReceiptWriter

ID = "7d9f4d1c-2c59-5d3e-8a54-0a5c8f3a9e11"
REFERENCE = f"202609-000-0a1b2c3d-{ID}"


class FakeQueue:
    """Writes when it is let, and fails for a number of times."""

    def __init__(self, failures: int = 0) -> None:
        self.written: list[list[Receipt]] = []
        self.failures = failures
        self.gate = asyncio.Event()
        self.gate.set()

    async def check_memory(self, limit: float) -> None:
        assert limit > 0.9

    async def receipt(self, items: list[Receipt]) -> int:
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise UnavailableError
        self.written.append(items)
        return 0


def writer(queue: FakeQueue) -> ReceiptWriter:
    return ReceiptWriter(cast("Queue", queue))


def events(count: int, type_: str = "opened") -> list[Event]:
    return [Event(REFERENCE, type_, 0, number) for number in range(1, count + 1)]


async def test_a_batch_is_cut_where_a_script_is_full() -> None:
    queue = FakeQueue()
    await writer(queue).write(events(1001))
    assert [len(items) for items in queue.written] == [500, 500, 1]
    assert {(item.reference, item.message_id) for items in queue.written for item in items} == {(REFERENCE, ID)}
    await writer(queue).write([])


async def test_what_waits_for_the_disk_goes_together() -> None:
    queue = FakeQueue()
    queue.gate.clear()
    shared = writer(queue)
    calls = [asyncio.ensure_future(shared.write(events(1))) for _ in range(10)]
    await asyncio.sleep(0)
    queue.gate.set()
    await asyncio.gather(*calls)
    assert sum(len(items) for items in queue.written) == 10
    assert len(queue.written) <= 2


async def test_a_failure_is_told_to_those_whose_receipts_were_in_it() -> None:
    queue = FakeQueue(failures=1)
    shared = writer(queue)
    results: Any = await asyncio.gather(shared.write(events(500)), shared.write(events(500)), return_exceptions=True)
    assert [type(result) for result in results] == [UnavailableError, type(None)]
    with pytest.raises(UnavailableError):
        await writer(FakeQueue(failures=1)).write(events(501))


async def test_a_request_that_goes_away_leaves_nobody_waiting() -> None:
    queue = FakeQueue()
    queue.gate.clear()
    shared = writer(queue)
    first, second = (asyncio.ensure_future(shared.write(events(1))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    queue.gate.set()
    await second
    assert len(queue.written) == 1


@pytest.mark.parametrize(
    ("text", "partition"),
    [
        (REFERENCE, 0),
        (REFERENCE.replace("-000-", "-015-"), 15),
        (REFERENCE.upper(), None),
        (REFERENCE + "x", None),
        (f" {REFERENCE}", None),
        (REFERENCE.replace("-000-", "-0-"), None),
        ("", None),
    ],
)
def test_only_a_whole_reference_names_a_partition(text: str, partition: int | None) -> None:
    assert partition_of(text) == partition
