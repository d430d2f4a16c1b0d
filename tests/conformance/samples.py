"""Outcomes as intake, dispatcher and providers make them, and a store that a case may write to and ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from morpheus_kit import ids
from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event, GroupEvent, GroupRecord, MessageRecord, QueuedMessage, SharedInfo, pack
from services.tracker.documents import Document
from services.tracker.store.base import MessageFilter, RecordStore, Refusal

T0 = 1_780_000_000_000


def reference(index: int, company: str = "acme", group: str = "june") -> str:
    return f"{ids.reference_prefix('202606', 0, company, group)}-{ids.message_id(company, group, 0, index)}"


def group(company: str = "acme", group_id: str = "june", **more: Any) -> GroupRecord:
    at = more.pop("at", T0)
    method = more.pop("method", "test")
    prefix = ids.reference_prefix("202606", 0, company, group_id)
    part, total = more.pop("part", 0), more.pop("total", 3)
    fields = {"tags": ["g"], "reference_prefix": prefix, **more}
    info = SharedInfo(1, company, group_id, method, method, "a.html", **fields)
    return GroupRecord(info, part, total, at, "default")


def record(index: int, company: str = "acme", group_id: str = "june", **more: Any) -> MessageRecord:
    at = more.pop("at", T0)
    address = more.pop("address", f"p{index}@example.com")
    blob = pack(
        QueuedMessage(
            1,
            ids.message_id(company, group_id, 0, index),
            index,
            0,
            at,
            address,
            "Zoë",
            tags=more.pop("tags", []),
            withheld=more.pop("withheld", None),
        )
    )
    fields = {"rendered": True, "subject": "Hi", "html": "<p>x</p>", "text": f"number {index}", **more}
    return MessageRecord(reference(index, company, group_id), company, group_id, blob, **fields)


def event(index: int, kind: str = "sent", company: str = "acme", group_id: str = "june", **more: Any) -> Event:
    source, at = more.pop("source", "us"), more.pop("at", T0 + 5)
    attempt = more.pop("attempt", 1 if source == "us" else 0)
    return Event(reference(index, company, group_id), kind, attempt, at, source, **more)


def group_event(kind: str, at: int, **more: Any) -> GroupEvent:
    prefix = ids.reference_prefix("202606", 0, "acme", "june")
    return GroupEvent("acme", "june", kind, at, "ops", reference_prefix=prefix, **more)


def message_id(index: int = 0, company: str = "acme", group_id: str = "june") -> str:
    return ids.message_id(company, group_id, 0, index)


@dataclass(frozen=True)
class Records:
    """An empty store, and what makes all that was written visible to every question."""

    store: RecordStore
    reveal: Callable[[], Awaitable[None]]
    clock: ManualClock
    """The store's."""

    async def write(self, *outcomes: Outcome) -> list[Refusal]:
        refused = []
        for outcome in outcomes:
            refused += (await self.store.write(outcome)).refused
        await self.reveal()
        return refused

    async def listed(self, company: str = "acme", **wanted: Any) -> list[str]:
        found = await self.store.messages(company, MessageFilter(**wanted), None, 100)
        return sorted(document.head.address for document in found)

    async def message(self, index: int = 0) -> Document:
        found = await self.store.message("acme", message_id(index))
        assert found is not None
        return found
