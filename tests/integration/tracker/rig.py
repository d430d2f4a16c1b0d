"""What fills the tracker's queue, and what waits for its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import grpc.aio
import msgspec
import pytest

from morpheus_kit import errors, ids
from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import SystemClock
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.outcomes import array_header, pack_records
from morpheus_kit.queue.schema import Event, GroupRecord, MessageRecord, QueuedMessage, SharedInfo, pack
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.status import from_rpc_error
from services.tracker.consumer import Consumer
from services.tracker.erasures import Erasures
from services.tracker.outbox import Outbox
from services.tracker.store.sqlite import SqliteStore
from services.tracker.suppressions import Suppressions
from tests.integration.commits import commit_of

T = TypeVar("T")
MONTH = "202606"
ACCEPTED_MS = 1_780_000_000_000
SECRET = "0123456789abcdef"
HASHER = AddressHasher(SECRET)


class Sender:
    """What intake and dispatcher would have put into the queue."""

    def __init__(self, queue: Queue, company: str = "acme", group_id: str = "june") -> None:
        self.queue = queue
        self.accepted_ms = ACCEPTED_MS
        self.prefix = ids.reference_prefix(MONTH, 0, company, group_id)
        self.shared = SharedInfo(
            1,
            company,
            group_id,
            "test",
            "test",
            "letter.html",
            "outer.html",
            "Hello {{ first_name }}",
            from_address="Shop <shop@example.com>",
            tags=["summer"],
            reference_prefix=self.prefix,
        )

    def message_id(self, index: int) -> str:
        return ids.message_id(self.shared.company_code, self.shared.group_id, 0, index)

    def reference(self, index: int) -> str:
        return f"{self.prefix}-{self.message_id(index)}"

    def blob(self, index: int) -> bytes:
        return pack(
            QueuedMessage(
                1,
                self.message_id(index),
                index,
                0,
                self.accepted_ms,
                f"Person{index}@Example.com",
                "Zoë",
                f"Ångström{index}",
                tags=[f"n{index}"],
                context=msgspec.Raw(msgspec.msgpack.encode({"n": index})),
            )
        )

    async def commit(self, total: int, *, record_group: bool = True) -> None:
        """The part as intake commits it."""
        shared = self.shared
        part = f"{shared.company_code}/{shared.group_id}/0"
        elements = [pack_element(self.message_id(index), self.blob(index)) for index in range(total)]
        await self.queue.stage(part, "r1", elements, 0)
        result = await self.queue.commit_part(
            commit_of(
                part,
                total,
                request_id="r1",
                shared_blob=pack(shared),
                method="test",
                ref=self.prefix,
                month=MONTH,
                records=pack_records((), [self.group_record(total)]) if record_group else b"",
            )
        )
        assert result.kind == "committed"

    def group_record(self, total: int) -> GroupRecord:
        return GroupRecord(self.shared, 0, total, ACCEPTED_MS, "default")

    def record(self, index: int) -> MessageRecord:
        return MessageRecord(
            self.reference(index),
            self.shared.company_code,
            self.shared.group_id,
            self.blob(index),
            rendered=True,
            subject=f"Hello Zoë {index}",
            html=f"<p>Order {index}</p>",
            text=f"Order {index}",
        )

    async def send(self, *indexes: int, kinds: tuple[str, ...] = ("sent", "delivered")) -> None:
        """The outcome of a batch, as the dispatcher's commit writes it."""
        await self.add(
            records=pack_records([self.record(index) for index in indexes]),
            events=[self.event(index, kind) for index in indexes for kind in kinds],
        )

    def event(self, index: int, kind: str, **more: Any) -> Event:
        source = "us" if kind in {"sent", "failed", "rejected", "deferred", "uncertain", "cancelled"} else "test"
        attempt = 1 if source == "us" else 0
        return Event(self.reference(index), kind, attempt, ACCEPTED_MS + 1000, source, **more)

    async def add(self, records: bytes = b"", events: list[Event] | None = None) -> None:
        fields = {b"records": records} if records else {}
        if events:
            fields[b"events"] = array_header(len(events)) + b"".join(map(pack, events))
        await self.queue.redis.xadd(self.queue.keys.outcomes, fields)


async def until(question: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Asks until the answer is the one that must come."""
    async with asyncio.timeout(10):
        while not holds(answer := await question()):
            await asyncio.sleep(0.02)
    return answer


async def failure(call: Any) -> errors.MorpheusError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def consumer_of(queue: Queue, store: SqliteStore, suppressions: Suppressions) -> Consumer:
    """Whose steps record what is in the queue."""
    erasures = Erasures(store, [queue], HASHER, Outbox(""), SystemClock())
    return Consumer(queue, store, suppressions, erasures, SystemClock(), "me")


async def record_all(consumer: Consumer, queue: Queue) -> None:
    """Steps until nothing is left to record."""
    async with asyncio.timeout(10):
        while await queue.redis.xlen(queue.keys.outcomes):
            await consumer.step()


async def listed(queue: Queue, company: str = "acme") -> dict[str, set[bytes]]:
    """The queue's lists of a company, by stream."""
    found = {}
    for owner, stream in await queue.suppression_lists():
        if owner == company:
            found[stream] = set((await queue.suppressed(company, stream, 0))[1])
    return found
