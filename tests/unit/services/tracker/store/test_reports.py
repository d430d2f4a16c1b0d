"""Statistics, costs and the feed of the SQLite store, against what the messages themselves say."""

from __future__ import annotations

import sqlite3
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
from services.tracker.store.base import EVERYONE, MessageFilter
from services.tracker.store.reports import DAY_MS, FEED_MS, HOUR_MS, StatisticsQuery
from services.tracker.store.schema import connect_writer
from services.tracker.store.sqlite import SqliteStore
from tests.conformance.report_cases import GROUPS, KINDS, T0, check, merged, outcome
from tests.conformance.samples import event, group, record

Step = tuple[str, int, str, int]
"""Group, message, kind of event or `record` or `group`, time."""

BACK_TO_3 = "DROP TABLE rollups; CREATE TABLE rollups (company, tag); PRAGMA user_version = 3;"
BACK_TO_2 = "DROP TABLE erasures; DROP TABLE rollups; CREATE TABLE rollups (company, tag); PRAGMA user_version = 2;"
BACK_TO_1 = """
DROP TABLE erasures;
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


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "records.db", ManualClock(T0 + DAY_MS))
    await store.start()
    yield store
    await store.stop()


steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(GROUPS)),
        st.integers(0, 5),
        st.sampled_from(["record", "group", "record", *KINDS]),
        st.integers(1, 5),
    ),
    max_size=40,
)


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
            await store.write(merged(list(starmap(outcome, written[start : start + batch]))))
        from_ms, to_ms = (T0 + offset for offset in between)
        await check(store, company, StatisticsQuery(from_ms, to_ms, HOUR_MS, by_method=by[0], by_tag=by[1]))
    finally:
        await store.stop()


async def test_no_row_is_left_of_what_moved_on(store: SqliteStore, tmp_path: Path) -> None:
    for kind in ("group", "record", "sent", "delivered", "opened"):
        await store.write(outcome("a", 1, kind, 1))
        await store.write(outcome("a", 1, kind, 1))
    with closing(sqlite3.connect(tmp_path / "records.db")) as db:
        rows = db.execute("SELECT tag, state, messages FROM rollups ORDER BY tag").fetchall()
    assert rows == [(tag, "opened", 1) for tag in ("", "g", "n1", "x")]


@pytest.mark.parametrize("back", [BACK_TO_1, BACK_TO_2, BACK_TO_3])
async def test_records_of_an_earlier_schema_are_counted(tmp_path: Path, back: str) -> None:
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
        db.executescript(back)
    store = SqliteStore(path, ManualClock(T0 + DAY_MS))
    await store.start()
    assert await store.statistics("acme", wanted) == before
    assert await store.messages("acme", MessageFilter(), None, 10) == listed
    assert [item.tag for item in before] == ["g", "n1", "x"]
    await store.write(outcome("a", 1, "delivered", 1))
    assert [item.type for item in await store.changes("acme", "", 10)][-1:] == ["delivered"]
    assert await store.erasures(None, 10) == []
    await store.stop()


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
