"""Paging through the list while messages arrive: nothing twice, nothing that was there missing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.documents import Document
from services.tracker.store.base import EVERYONE, MessageFilter, Position
from services.tracker.store.sqlite import SqliteStore
from tests.conformance.samples import T0, group, record

arrivals = st.lists(st.tuples(st.sampled_from(["acme", "rival"]), st.integers(0, 3)), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=arrivals, during=arrivals, size=st.integers(1, 4), company=st.sampled_from(["acme", EVERYONE]))
async def test_no_message_is_listed_twice_or_missing_while_others_arrive(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[tuple[str, int]],
    during: list[tuple[str, int]],
    size: int,
    company: str,
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("records") / "records.db", ManualClock(T0))
    await store.start()
    try:
        await store.write(Outcome([group("acme"), group("rival")]))
        for index, (owner, at) in enumerate(before):
            await store.write(Outcome(messages=[record(index, owner, at=T0 + at)]))
        there = {each.id for each in await store.messages(company, MessageFilter(), None, 100)}
        listed: list[Document] = []
        late = iter(enumerate(during, len(before)))
        while page := await store.messages(company, MessageFilter(), _after(listed), size):
            listed += page
            for index, (owner, at) in [next(late, (0, ("", 0)))]:
                if owner:
                    await store.write(Outcome(messages=[record(index, owner, at=T0 + at)]))
        ids = [each.id for each in listed]
        assert len(set(ids)) == len(ids)
        assert there <= set(ids)
        times = [each.head.accepted_at_ms for each in listed]
        assert times == sorted(times, reverse=True)
    finally:
        await store.stop()


def _after(listed: list[Document]) -> Position | None:
    return Position(listed[-1].head.accepted_at_ms, listed[-1].place) if listed else None
