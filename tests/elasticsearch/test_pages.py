"""Pages far beyond what a window of the cluster holds (10,000)."""

from __future__ import annotations

import pytest

from morpheus_kit.queue.outcomes import Outcome
from services.tracker.documents import Document
from services.tracker.store.base import MessageFilter
from tests.conformance.page_cases import after, check_order
from tests.conformance.samples import T0, Records, event, group, message_id, record

_MESSAGES, _BATCH, _PAGE = 10_500, 1_500, 1_000


@pytest.mark.timeout(120)
async def test_the_last_pages_of_a_long_list_are_as_stable_as_the_first(records: Records) -> None:
    await records.store.write(Outcome([group(total=_MESSAGES)]))
    for start in range(0, _MESSAGES, _BATCH):
        indexes = range(start, start + _BATCH)
        await records.store.write(Outcome([], [record(index, at=T0 + index // 100) for index in indexes]))
    await records.write()
    listed: list[Document] = []
    number = _MESSAGES
    while page := await records.store.messages("acme", MessageFilter(), after(listed), _PAGE):
        listed += page
        await records.write(Outcome([], [record(number, at=T0 + number)], [event(number % 97)]))
        number += 1
    check_order(listed)
    assert {each.id for each in listed} == {message_id(index) for index in range(_MESSAGES)}
