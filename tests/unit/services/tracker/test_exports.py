"""An export of any size takes the memory of a few pages."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import cast

import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from services.tracker import queries
from services.tracker.documents import Document
from services.tracker.inputs import Inputs
from services.tracker.ledger import Ledgers
from services.tracker.paging import PageTokens
from services.tracker.privacy_service import Privacy
from services.tracker.reporting import Reporting
from services.tracker.service import TrackerService
from services.tracker.store.base import MessageFilter, Position
from services.tracker.store.sqlite import SqliteStore
from services.tracker.watches import Watches
from services.tracker.webhooks.ingest import Webhooks
from tests.conformance.samples import T0, group, record

_MESSAGES, _PAGE = 1_000, 50
_NAME = "x" * 2_000


class Counted(SqliteStore):
    """How many pages were read, and how large they may have been."""

    pages = 0
    largest = 0

    async def messages(self, company: str, wanted: MessageFilter, after: Position | None, limit: int) -> list[Document]:
        self.pages += 1
        self.largest = max(self.largest, limit)
        return await super().messages(company, wanted, after, limit)


async def test_an_export_reads_a_page_when_the_one_before_was_taken_and_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_EXPORT_PAGE", _PAGE)
    store = Counted(tmp_path / "records.db", ManualClock(T0))
    await store.start()
    try:
        await store.write(Outcome([group(total=_MESSAGES)]))
        await store.write(
            Outcome([], [record(index, address=f"{_NAME}@{index}.example") for index in range(_MESSAGES)])
        )
        request = pb.ExportMessagesRequest(filter=pb.ListMessagesRequest(company_code="acme"))
        size = taken = messages = 0
        tracemalloc.start()
        try:
            async for answer in service_of(store).ExportMessages(request, None):
                taken += 1
                assert store.pages == taken
                size += answer.ByteSize()
                messages += len(answer.messages)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    finally:
        await store.stop()
    assert (messages, store.largest) == (_MESSAGES, _PAGE)
    assert peak < size / 4, (peak, size)


def service_of(store: SqliteStore) -> TrackerService:
    """Whose exports ask nothing but the store."""
    tokens = PageTokens("0123456789abcdef")
    return TrackerService(
        queries.Queries(store, cast("Ledgers", None), tokens, ManualClock(T0), lambda _: T0),
        cast("Watches", None),
        cast("Reporting", None),
        cast("Inputs", None),
        cast("Webhooks", None),
        cast("Privacy", None),
        tokens,
    )
