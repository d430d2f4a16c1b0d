"""Statistics, costs and the feed of the SQLite store, against what the messages themselves say."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import starmap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morpheus_kit import ids
from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event
from services.tracker.documents import Document
from services.tracker.store.base import EVERYONE, MessageFilter
from services.tracker.store.reports import (
    DAY_MS,
    FEED_MS,
    HOUR_MS,
    CostItem,
    CostKey,
    CostQuery,
    StatisticsQuery,
    TooManyItemsError,
)
from services.tracker.store.schema import connect_writer
from services.tracker.store.sqlite import SqliteStore
from tests.conformance.samples import event, group, record

T0 = 1_780_000_000_000 // HOUR_MS * HOUR_MS
BACK_TO_1 = """
DROP TABLE rollups; DROP TABLE feed; DROP TABLE suppressions;
DROP INDEX messages_listed; DROP INDEX messages_of_group; DROP INDEX messages_notable; DROP INDEX messages_reason;
ALTER TABLE messages DROP COLUMN place; ALTER TABLE groups DROP COLUMN versions;
ALTER TABLE groups DROP COLUMN versions_ms;
CREATE INDEX messages_listed ON messages (company, accepted_ms, n, group_n) WHERE company IS NOT NULL;
CREATE INDEX messages_of_group ON messages (group_n, accepted_ms, n) WHERE group_n IS NOT NULL;
CREATE INDEX messages_notable ON messages (notable, company, accepted_ms, n) WHERE notable IS NOT NULL;
CREATE INDEX messages_reason ON messages (reason, company, accepted_ms, n) WHERE reason IS NOT NULL;
PRAGMA user_version = 1;
"""
KINDS = ("sent", "failed", "delivered", "opened", "clicked", "hard_bounced", "complained", "deferred")
OURS = {"sent", "failed", "deferred"}

Step = tuple[str, int, str, int]
"""Group, message, kind of event or `record` or `group`, time."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "records.db", ManualClock(T0 + DAY_MS))
    await store.start()
    yield store
    await store.stop()


GROUPS = {"a": ("acme", ["g", "x"], "test"), "b": ("acme", ["g"], "sms"), "c": ("rival", ["g"], "test")}


def accepted(index: int) -> int:
    """Spread over five hours, some at the edges of one."""
    return T0 + index * HOUR_MS * 5 // 6 + (index % 3 - 1)


def outcome(name: str, index: int, kind: str, at: int) -> Outcome:
    company, tags, method = GROUPS[name]
    if kind == "group":
        return Outcome([group(company, name, at=T0, tags=tags, method=method)])
    if kind == "record":
        own = ["x", f"n{index}"] if index % 2 else []
        return Outcome(messages=[record(index, company, name, at=accepted(index), tags=own)])
    detail = {"cost_micros": 10 + index, "cost_currency": "GBP" if index % 2 else "EUR"} if kind == "sent" else {}
    source = "us" if kind in OURS else "test"
    return Outcome(events=[event(index, kind, company, name, at=T0 + at, source=source, detail=detail)])


steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(GROUPS)),
        st.integers(0, 5),
        st.sampled_from(["record", "group", "record", *KINDS]),
        st.integers(1, 5),
    ),
    max_size=40,
)


async def messages(store: SqliteStore, company: str) -> list[Document]:
    return await store.messages(company, MessageFilter(), None, 1000)


def tags_of(document: Document) -> set[str]:
    return {*document.shared.tags, *document.head.tags}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=steps,
    batch=st.integers(1, 7),
    company=st.sampled_from(["acme", "rival", EVERYONE]),
    between=st.tuples(st.integers(0, 6 * HOUR_MS), st.integers(0, 6 * HOUR_MS)).map(sorted),
    by=st.tuples(st.booleans(), st.booleans()),
)
async def test_statistics_and_costs_are_those_of_the_messages(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[Step],
    batch: int,
    company: str,
    between: list[int],
    by: tuple[bool, bool],
) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("records") / "records.db", ManualClock(T0 + DAY_MS))
    await store.start()
    try:
        for start in range(0, len(written), batch):
            merged = Outcome()
            for part in starmap(outcome, written[start : start + batch]):
                merged.groups += part.groups
                merged.messages += part.messages
                merged.events += part.events
            await store.write(merged)
        from_ms, to_ms = (T0 + offset for offset in between)
        wanted = StatisticsQuery(from_ms, to_ms, HOUR_MS, by_method=by[0], by_tag=by[1])
        found: Counter[tuple[object, ...]] = Counter()
        for item in await store.statistics(company, wanted):
            for state, number in item.counts.items():
                found[item.bucket_ms, item.method, item.tag, "state", state] += number
            for name, number in item.reached.items():
                found[item.bucket_ms, item.method, item.tag, "reached", name] += number
        chosen = [each for each in await messages(store, company) if from_ms <= each.head.accepted_at_ms < to_ms]
        assert found == _expected(chosen, by)
        for key in ("company", "method", "tag", "day"):
            assert await store.costs(company, CostQuery(key, from_ms, to_ms)) == _costs(chosen, key)
    finally:
        await store.stop()


def _expected(chosen: list[Document], by: tuple[bool, bool]) -> Counter[tuple[object, ...]]:
    expected: Counter[tuple[object, ...]] = Counter()
    for each in chosen:
        bucket = each.head.accepted_at_ms // HOUR_MS * HOUR_MS
        for tag in tags_of(each) if by[1] else {""}:
            key = (bucket, each.shared.method if by[0] else "", tag)
            expected[*key, "state", each.head.folded.state] += 1
            for name in each.head.folded.first:
                expected[*key, "reached", name] += 1
    return expected


def _costs(chosen: list[Document], key: CostKey) -> list[CostItem]:
    sums: dict[tuple[str, str], list[int]] = {}
    for each in chosen:
        currency = each.head.folded.value("cost_currency")
        if not currency:
            continue
        day = "2026-05-28" if each.head.accepted_at_ms < 1_780_012_800_000 else "2026-05-29"
        keys = {"company": {each.shared.company_code}, "method": {each.shared.method}, "tag": tags_of(each)}
        for name in keys.get(key, {day}):
            row = sums.setdefault((name, currency), [0, 0])
            row[0] += 1
            row[1] += each.head.folded.value("cost_micros")
    return [CostItem(*names, *numbers) for names, numbers in sorted(sums.items())]


async def test_no_row_is_left_of_what_moved_on(store: SqliteStore, tmp_path: Path) -> None:
    for kind in ("group", "record", "sent", "delivered", "opened"):
        await store.write(outcome("a", 1, kind, 1))
        await store.write(outcome("a", 1, kind, 1))
    with closing(sqlite3.connect(tmp_path / "records.db")) as db:
        rows = db.execute("SELECT tag, state, messages FROM rollups ORDER BY tag").fetchall()
    assert rows == [(tag, "opened", 1) for tag in ("", "g", "n1", "x")]


async def test_statistics_of_more_items_than_an_answer_holds_are_refused(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tracker.store.sqlite_reports.MOST_ITEMS", 2)
    for index in (0, 2, 4):
        await store.write(Outcome([group(group_id=f"g{index}")], [record(0, group_id=f"g{index}", at=accepted(index))]))
    with pytest.raises(TooManyItemsError):
        await store.statistics("acme", StatisticsQuery(T0 - HOUR_MS, T0 + DAY_MS, HOUR_MS))
    assert len(await store.statistics("acme", StatisticsQuery(T0 - DAY_MS, T0 + DAY_MS, DAY_MS))) <= 2


async def test_records_of_the_first_schema_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    store = SqliteStore(path, ManualClock(T0 + DAY_MS))
    await store.start()
    for kind in ("group", "record", "sent"):
        await store.write(outcome("a", 1, kind, 1))
    wanted = StatisticsQuery(T0, T0 + DAY_MS, DAY_MS, by_tag=True)
    before = await store.statistics("acme", wanted)
    listed = await store.messages("acme", MessageFilter(), None, 10)
    await store.stop()
    with closing(connect_writer(path)) as db:
        db.executescript(BACK_TO_1)
    store = SqliteStore(path, ManualClock(T0 + DAY_MS))
    await store.start()
    assert await store.statistics("acme", wanted) == before
    assert await store.messages("acme", MessageFilter(), None, 10) == listed
    assert [item.tag for item in before] == ["g", "n1", "x"]
    await store.write(outcome("a", 1, "delivered", 1))
    assert [item.type for item in await store.changes("acme", "", 10)] == ["delivered"]
    await store.stop()


async def read_all(store: SqliteStore, company: str, limit: int = 3) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    after = ""
    while items := await store.changes(company, after, limit):
        assert len(items) <= limit
        found += [(item.message_id[:8], item.type, item.state) for item in items]
        after = items[-1].cursor
    return found


def short(index: int, name: str = "a") -> str:
    return ids.message_id(GROUPS[name][0], name, 0, index)[:8]


async def test_the_feed_has_every_change_in_order_and_nothing_twice(store: SqliteStore) -> None:
    for name, index in (("a", 0), ("c", 0), ("a", 1)):
        await store.write(outcome(name, index, "record", 1))
        for kind in ("deferred", "sent", "opened", "opened", "delivered"):
            await store.write(outcome(name, index, kind, 1))
    expected = [
        (short(index), kind, state)
        for index in (0, 1)
        for kind, state in (("deferred", "deferred"), ("sent", "sent"), ("opened", "opened"))
    ]
    assert await read_all(store, "acme") == expected
    assert {item.company_code for item in await store.changes("rival", "", 100)} == {"rival"}
    assert len(await read_all(store, EVERYONE)) == 9


async def test_what_happened_before_the_record_came_is_in_the_feed_when_it_comes(store: SqliteStore) -> None:
    await store.write(outcome("a", 0, "delivered", 2))
    await store.write(outcome("a", 0, "sent", 1))
    assert await read_all(store, EVERYONE) == []
    await store.write(outcome("a", 0, "record", 1))
    assert await read_all(store, "acme") == [(short(0), "sent", "sent"), (short(0), "delivered", "delivered")]


async def test_a_reader_that_goes_on_from_any_cursor_misses_nothing(store: SqliteStore) -> None:
    merged = Outcome([], [record(index) for index in range(30)], [event(index) for index in range(30)])
    await store.write(merged)
    await store.write(Outcome(events=[event(index, "delivered", source="test") for index in range(30)]))
    everything = await store.changes("acme", "", 1000)
    assert len(everything) == 60
    for number, item in enumerate(everything):
        assert await store.changes("acme", item.cursor, 1000) == everything[number + 1 :]
    with pytest.raises(ValueError, match="x1"):
        await store.changes("acme", "x1", 10)


async def test_the_feed_is_kept_for_thirty_days_and_numbers_are_not_given_again(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    path = tmp_path / "records.db"
    store = SqliteStore(path, clock)
    await store.start()
    await store.write(outcome("a", 0, "record", 1))
    await store.write(outcome("a", 0, "sent", 1))
    (first,) = await store.changes("acme", "", 10)
    clock.advance(FEED_MS / 1000 + 1)
    assert await store.changes("acme", "", 10) == []
    await store.write(outcome("a", 0, "delivered", 1))
    (second,) = await store.changes("acme", first.cursor, 10)
    assert second.type == "delivered"
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM feed").fetchone() == (1,)
    await store.stop()


async def test_a_transaction_that_failed_leaves_no_count_and_no_change(store: SqliteStore, tmp_path: Path) -> None:
    await store.write(Outcome([group()]))
    with pytest.raises(OverflowError):
        await store.write(
            Outcome([], [record(0)], [event(0), Event(f"x-{ids.message_id('acme', 'june', 0, 1)}", "sent", 1, 2**63)])
        )
    await store.write(Outcome([], [record(1)], [event(1)]))
    (item,) = await store.statistics("acme", StatisticsQuery(T0 - DAY_MS, T0 + DAY_MS, 2 * DAY_MS))
    assert item.counts == {"sent": 1}
    assert len(await store.changes("acme", "", 10)) == 1
