"""What every record store must do, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from morpheus_kit import ids
from morpheus_kit.clock import ManualClock
from morpheus_kit.config import ConfigError
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event, GroupEvent, GroupRecord, MessageRecord, QueuedMessage, SharedInfo, pack
from services.tracker.store.base import GroupFilter, MessageFilter, Position, StoreDownError
from services.tracker.store.sqlite import SqliteStore
from services.tracker.store.sqlite_writer import SqliteWriter

T0 = 1_780_000_000_000


def reference(index: int, company: str = "acme", group: str = "june") -> str:
    return f"{ids.reference_prefix('202606', 0, company, group)}-{ids.message_id(company, group, 0, index)}"


def group(company: str = "acme", group_id: str = "june", **more: Any) -> GroupRecord:
    at = more.pop("at", T0)
    method = more.pop("method", "test")
    info = SharedInfo(1, company, group_id, method, method, "a.html", **{"tags": ["g"], **more})
    return GroupRecord(info, 0, 3, at, "default")


def record(index: int, company: str = "acme", group_id: str = "june", **more: Any) -> MessageRecord:
    at = more.pop("at", T0)
    address = more.pop("address", f"p{index}@example.com")
    blob = pack(
        QueuedMessage(
            1, ids.message_id(company, group_id, 0, index), index, 0, at, address, "Zoë", tags=more.pop("tags", [])
        )
    )
    fields = {"rendered": True, "subject": "Hi", "html": "<p>x</p>", "text": f"number {index}", **more}
    return MessageRecord(reference(index, company, group_id), company, group_id, blob, **fields)


def event(index: int, kind: str = "sent", company: str = "acme", group_id: str = "june", **more: Any) -> Event:
    source = more.pop("source", "us")
    at = more.pop("at", T0 + 5)
    return Event(reference(index, company, group_id), kind, 1 if source == "us" else 0, at, source, **more)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "records.db", ManualClock(T0 + 10_000))
    await store.start()
    yield store
    await store.stop()


async def listed(store: SqliteStore, company: str = "acme", **wanted: Any) -> list[str]:
    found = await store.messages(company, MessageFilter(**wanted), None, 100)
    return sorted(document.head.address for document in found)


async def test_one_batch_makes_a_whole_document(store: SqliteStore) -> None:
    await store.write(Outcome([group()], [record(0)], [event(0), event(0, "delivered", source="test", at=T0 + 9)]))
    found = await store.message("acme", ids.message_id("acme", "june", 0, 0))
    assert found is not None
    assert found.body is not None
    assert (found.head.folded.state, found.body.text, found.shared.group_id) == ("delivered", "number 0", "june")
    row = await store.group("acme", "june")
    assert row is not None
    assert (row.counts, row.settled, row.settled_ms, row.total, row.ended_lately) == (
        {"delivered": 1},
        1,
        T0 + 5,
        3,
        1,
    )


async def test_written_twice_is_written_once(store: SqliteStore) -> None:
    outcome = Outcome([group()], [record(0), record(1)], [event(0), event(1, "failed")])
    await store.write(outcome)
    before = await store.group("acme", "june")
    await store.write(outcome)
    assert await store.group("acme", "june") == before
    assert await listed(store) == ["p0@example.com", "p1@example.com"]


async def test_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    pieces = [
        Outcome([group()]),
        Outcome([], [record(0, rendered=False, subject="", html="", text="")]),
        Outcome([], [record(0)]),
        Outcome([], [], [event(0)]),
        Outcome([], [], [event(0, "delivered", source="test", at=T0 + 9)]),
        Outcome([], [], [], [GroupEvent("acme", "june", "paused", T0 + 3, "ops")]),
    ]
    answers = []
    for number, order in enumerate([range(6), range(5, -1, -1), [3, 1, 5, 2, 0, 4]]):
        store = SqliteStore(tmp_path / f"{number}.db", ManualClock(T0 + 10_000))
        await store.start()
        for at in order:
            await store.write(pieces[at])
        message = await store.message("acme", ids.message_id("acme", "june", 0, 0))
        assert message is not None
        content = (message.head, message.body, message.shared)
        answers.append((content, await store.group("acme", "june"), await listed(store, words=("number",))))
        await store.stop()
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][2] == ["p0@example.com"]


async def test_event_before_its_record_is_seen_by_nobody(store: SqliteStore) -> None:
    await store.write(Outcome([group()], [], [event(0)]))
    for company in ("acme", "*"):
        assert await listed(store, company) == []
        assert await store.message(company, ids.message_id("acme", "june", 0, 0)) is None
    await store.write(Outcome([], [record(0)]))
    assert await listed(store, state="sent") == ["p0@example.com"]


async def test_message_before_its_group_waits_in_the_store(store: SqliteStore) -> None:
    await store.write(Outcome([], [record(0)], [event(0)]))
    assert await listed(store) == []
    assert await store.group("acme", "june") is None
    await store.write(Outcome([group()]))
    assert await listed(store) == ["p0@example.com"]
    row = await store.group("acme", "june")
    assert row is not None
    assert row.counts == {"sent": 1}


async def test_company_sees_only_its_own(store: SqliteStore) -> None:
    await store.write(
        Outcome([group(), group("other")], [record(0), record(0, "other")], [event(0), event(0, company="other")])
    )
    mine, theirs = (ids.message_id(company, "june", 0, 0) for company in ("acme", "other"))
    assert await store.message("acme", theirs) is None
    assert await store.message("other", theirs) is not None
    assert await store.message("*", mine) is not None
    for wanted in ({}, {"words": ("number",)}, {"group_id": "june"}, {"tags": ("g",)}, {"address": "p0@example.com"}):
        assert len(await listed(store, "acme", **wanted)) == 1
        assert len(await listed(store, "*", **wanted)) == 2
        assert await listed(store, "nobody", **wanted) == []
    assert len(await store.groups("acme", GroupFilter(), None, 10)) == 1
    assert len(await store.groups("*", GroupFilter(), None, 10)) == 2
    assert await store.group("nobody", "june") is None


async def test_each_filter(store: SqliteStore) -> None:
    await store.write(
        Outcome(
            [group(), group(group_id="july", at=T0 + 100, stream="news", method="smtp", tags=["x"])],
            [
                record(0, tags=["vip", "g"]),
                record(1, text="Überraschung für Zoë", address="+44 20 7946 0018"),
                record(2, group_id="july", at=T0 + 100),
            ],
            [
                event(0, external_id="ext-0"),
                event(1, "failed", reason_code="provider_refused"),
                event(2, group_id="july"),
                event(2, "delivered", group_id="july", source="smtp"),
            ],
        )
    )
    zero, one, two = "p0@example.com", "+44 20 7946 0018", "p2@example.com"
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [one, zero, two]),
        ({"words": ("uberraschung",)}, [one]),
        ({"words": ("zoe", "uberr")}, [one]),
        ({"words": ("uberr", "zoe")}, []),
        ({"words": ("vip",)}, [zero]),
        ({"words": ("p0",)}, [zero]),
        ({"group_id": "july"}, [two]),
        ({"tags": ("g",)}, [one, zero]),
        ({"tags": ("g", "vip")}, [zero]),
        ({"state": "failed"}, [one]),
        ({"state": "sent"}, [zero]),
        ({"state": "delivered"}, [two]),
        ({"reason": "provider_refused"}, [one]),
        ({"method": "smtp"}, [two]),
        ({"stream": "transactional"}, [one, zero]),
        ({"address": "P0@EXAMPLE.COM"}, [zero]),
        ({"address": "00442079460018"}, [one]),
        ({"external_id": "ext-0"}, [zero]),
        ({"from_ms": T0 + 1}, [two]),
        ({"to_ms": T0 + 100}, [one, zero]),
        ({"from_ms": T0, "to_ms": T0}, []),
    ]
    for wanted, expected in cases:
        assert await listed(store, **wanted) == sorted(expected), wanted
    assert [row.shared.group_id for row in await store.groups("acme", GroupFilter(tag="x"), None, 9)] == ["july"]
    assert [row.shared.group_id for row in await store.groups("acme", GroupFilter(method="test"), None, 9)] == ["june"]
    assert [row.shared.group_id for row in await store.groups("acme", GroupFilter(to_ms=T0 + 1), None, 9)] == ["june"]


async def test_pages_meet_without_gap_or_overlap(store: SqliteStore) -> None:
    await store.write(Outcome([group()], [record(index, at=T0 + index // 7) for index in range(40)]))
    for company in ("acme", "*"):
        whole = [document.id for document in await store.messages(company, MessageFilter(), None, 100)]
        found: list[str] = []
        after = None
        while page := await store.messages(company, MessageFilter(), after, 3):
            found += [document.id for document in page]
            after = Position(page[-1].head.accepted_at_ms, page[-1].tie)
        assert found == whole
        assert len(set(found)) == 40


async def test_better_record_replaces_text_and_search(store: SqliteStore) -> None:
    await store.write(Outcome([group()], [record(0, rendered=False, subject="", html="", text="", tags=["t"])]))
    await store.write(Outcome([], [record(0, reconstructed=True, text="early draft", tags=["t"])]))
    await store.write(Outcome([], [record(0, text="final words", tags=["t"])]))
    await store.write(Outcome([], [record(0, reconstructed=True, text="early draft", tags=["t"])]))
    assert await listed(store, words=("draft",)) == []
    assert await listed(store, words=("final",), tags=("t",)) == ["p0@example.com"]


async def test_record_that_cannot_be_read_is_kept_stripped(store: SqliteStore) -> None:
    bad = MessageRecord(reference(0), "acme", "june", b"\xc1")
    refused = await store.write(Outcome([group()], [bad, record(1)], [event(0)]))
    assert [refusal.record for refusal in refused] == [bad]
    found = await store.message("acme", ids.message_id("acme", "june", 0, 0))
    assert found is not None
    assert (found.head.folded.state, bool(found.head.error), found.message) == ("sent", True, None)
    assert len(await listed(store)) == 2


async def test_what_cannot_be_stored_leaves_nothing_behind(store: SqliteStore) -> None:
    with pytest.raises(OverflowError):
        await store.write(Outcome([group()], [record(0)], [event(0, at=2**63)]))
    assert await store.group("acme", "june") is None
    await store.write(Outcome([group()], [record(0)], [event(0)]))
    assert await listed(store) == ["p0@example.com"]


async def test_parts_of_a_group_add_up(store: SqliteStore) -> None:
    info = group(parts=2).shared
    await store.write(Outcome([GroupRecord(info, 1, 5, T0 + 9, "k")]))
    await store.write(Outcome([GroupRecord(info, 0, 3, T0, "k"), GroupRecord(info, 0, 3, T0, "k")]))
    row = await store.group("acme", "june")
    assert row is not None
    assert (row.total, row.parts_in, row.accepted_ms) == (8, 2, T0)


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


async def test_context_is_kept_as_it_was_queued(store: SqliteStore) -> None:
    context = msgspec.Raw(msgspec.msgpack.encode({"a": [1, None, "ü"]}))
    blob = pack(QueuedMessage(1, ids.message_id("acme", "june", 0, 0), 0, 0, T0, "a@b.example", context=context))
    await store.write(Outcome([group()], [MessageRecord(reference(0), "acme", "june", blob)]))
    found = await store.message("acme", ids.message_id("acme", "june", 0, 0))
    assert found is not None
    assert found.message is not None
    assert bytes(found.message.context) == bytes(context)


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
