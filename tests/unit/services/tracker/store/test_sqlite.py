"""The SQLite store: what every record store must do, and what only it does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from morpheus_kit.clock import ManualClock
from morpheus_kit.config import ConfigError
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.base import MessageFilter, StoreDownError
from services.tracker.store.schema import connect_writer
from services.tracker.store.sqlite import SqliteStore
from services.tracker.store.sqlite_writer import SqliteWriter
from tests.conformance.cases import RecordStoreCases
from tests.conformance.erasure_cases import ErasureCases
from tests.conformance.keeping_cases import RETENTION, KeepingCases
from tests.conformance.page_cases import PageCases
from tests.conformance.privacy_cases import PrivacyCases
from tests.conformance.report_cases import ReportCases
from tests.conformance.samples import T0, Records, event, group, record


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0 + 10_000)


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "records.db", clock, RETENTION)
    await store.start()
    yield store
    await store.stop()


class TestSqlite(RecordStoreCases, PrivacyCases, ErasureCases, KeepingCases, ReportCases, PageCases):
    @pytest.fixture
    def records(self, store: SqliteStore, clock: ManualClock) -> Records:
        async def reveal() -> None:
            """All is seen at once."""

        return Records(store, reveal, clock)


async def test_what_cannot_be_stored_leaves_nothing_behind(store: SqliteStore) -> None:
    with pytest.raises(OverflowError):
        await store.write(Outcome([group()], [record(0)], [event(0, at=2**63)]))
    assert await store.group("acme", "june") is None
    await store.write(Outcome([group()], [record(0)], [event(0)]))
    assert [document.head.address for document in await store.messages("acme", MessageFilter(), None, 9)] == [
        "p0@example.com"
    ]


async def test_full_disk_is_waited_for_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = connect_writer(tmp_path / "records.db")
    monkeypatch.setattr("services.tracker.store.sqlite.connect_writer", lambda _: opened)
    store = SqliteStore(tmp_path / "records.db", ManualClock(T0 + 10_000))
    await store.start()
    await store.write(Outcome([group()], [record(0)], [event(0)]))
    (pages,) = opened.execute("PRAGMA page_count").fetchone()
    opened.execute(f"PRAGMA max_page_count = {pages}")
    large = "".join(map(chr, range(256, 50_000)))
    outcome = Outcome([], [record(1, html=large), record(2, html=large)], [event(1)])
    for _ in range(2):
        with pytest.raises(StoreDownError, match="full"):
            await store.write(outcome)
        row = await store.group("acme", "june")
        assert row is not None
        assert row.counts == {"sent": 1}
    opened.execute("PRAGMA max_page_count = 4294967294")
    await store.write(outcome)
    row = await store.group("acme", "june")
    assert row is not None
    assert row.counts == {"sent": 2, "queued": 1}
    await store.stop()


async def test_file_that_cannot_be_opened_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"no database at all" * 100)
    store = SqliteStore(tmp_path / "records.db", ManualClock())
    with pytest.raises(ConfigError, match=r"^MORPHEUS_RECORDS_URL: .*/records\.db cannot be opened: file is not"):
        await store.start()
    await store.stop()


async def test_second_opener_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    second = SqliteStore(tmp_path / "records.db", ManualClock())
    with pytest.raises(ConfigError, match="another process"):
        await second.start()
    await second.stop()


async def test_records_of_a_newer_release_are_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "records.db", ManualClock())
    await store.start()
    await store.stop()
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    newer = SqliteStore(tmp_path / "records.db", ManualClock())
    with pytest.raises(ConfigError, match="newer release"):
        await newer.start()
    await newer.stop()


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (sqlite3.IntegrityError("UNIQUE"), sqlite3.IntegrityError),
        (sqlite3.DataError("too big"), sqlite3.DataError),
        (sqlite3.OperationalError("disk is full"), StoreDownError),
        (sqlite3.DatabaseError("malformed"), StoreDownError),
    ],
)
async def test_what_can_never_be_written_is_told_from_a_store_that_is_down(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, raised: Exception, seen: type[Exception]
) -> None:
    def write(*_: object) -> None:
        raise raised

    monkeypatch.setattr(SqliteWriter, "_write", write)
    with pytest.raises(seen):
        await store.write(Outcome())


async def test_once_tidied_nothing_of_an_erased_person_is_in_the_files(store: SqliteStore, tmp_path: Path) -> None:
    """Not in the word index, nor in what the bodies of a group have in common, nor where a page was freed."""

    def kept(word: bytes) -> bool:
        return any(word in path.read_bytes() for path in tmp_path.glob("records.db*"))

    name = "zarathustra"
    people = [f"{name}@example.com"] * 50 + [f"p{index}@example.com" for index in range(350)]
    for start in range(0, len(people), 50):
        batch = [
            record(
                index, address=people[index], html="", text=f"Dear {people[index].partition('@')[0]}, " + "x y " * 400
            )
            for index in range(start, start + 50)
        ]
        await store.write(
            Outcome([group(total=len(people))], batch, [event(index) for index in range(start, start + 50)])
        )
    assert kept(name.encode())
    references = await store.messages_to("acme", [f"{name}@example.com"], 100)
    assert await store.erase("acme", references) == 50
    await store.tidy()
    assert not kept(name.encode())
    assert kept(b"p77@example.com")
    found = await store.messages("acme", MessageFilter(words=("p77",)), None, 9)
    assert [each.head.address for each in found] == ["p77@example.com"]
    async with asyncio.timeout(5):
        await store.tidy()


async def test_what_is_over_leaves_nothing_in_any_table(store: SqliteStore, clock: ManualClock, tmp_path: Path) -> None:
    """Events whose records never came included, but not those of today."""
    await store.write(Outcome([], [], [event(98), event(99, at=T0 + 900 * 86_400_000)], []))
    await store.write(
        Outcome([group()], [record(index) for index in range(20)], [event(index) for index in range(20)], [])
    )
    await store.write(Outcome([group("long")], [record(0, "long")], [event(0, "sent", "long")], []))
    clock.advance(1000 * 86_400)
    while await store.drop_over(7):
        pass
    await store.tidy()
    with closing(sqlite3.connect(tmp_path / "records.db")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [name for name in names if not name.startswith(("feed", "sqlite_", "words"))]
        left = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
        assert db.execute("SELECT count(*) FROM words WHERE words MATCH 'number'").fetchone() == (0,)
    assert {name: count for name, count in left.items() if count} == {"messages": 1}
