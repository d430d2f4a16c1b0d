"""Writes outcomes into the SQLite store: one transaction a batch, each document written once.

Everything here runs on the store's one writer thread.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from morpheus_kit import ids
from morpheus_kit.clock import Clock
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event, GroupEvent, GroupRecord, MessageRecord, NewerVersionError, pack
from services.tracker.documents import Body, Head, body_of, head_of, record_rank, searchable, stripped_head
from services.tracker.states import Step, fold, steps_of
from services.tracker.store.base import Refusal
from services.tracker.store.bodies import BodyWriter
from services.tracker.store.schema import COMMON_STATES
from services.tracker.store.sqlite_feed import FeedWriter
from services.tracker.store.sqlite_rollups import Rollups, counted
from services.tracker.words import fold_text, normalise_address

_ID_CHARS = 36
_PACE_SECONDS = 120
_LOOKUP = 30_000

_INSERT = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE messages SET id = ?2, company = ?3, group_n = ?4, accepted_ms = ?5, state = ?6, notable = ?7, "
    "reason = ?8, settled_ms = ?9, address = ?10, external_id = ?11, head = ?12 WHERE n = ?1"
)
_UPDATE_FOLDED = "UPDATE messages SET state = ?2, notable = ?3, reason = ?4, settled_ms = ?5, head = ?6 WHERE n = ?1"
_COUNT = "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET messages = messages + ?3"
_PACE = "INSERT INTO pace VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET messages = messages + ?3"
_SETTLED = "UPDATE groups SET settled = settled + ?2, settled_ms = max(settled_ms, ?3) WHERE n = ?1"

head_decoder = msgspec.msgpack.Decoder(Head)
_encoder = msgspec.msgpack.Encoder()


class Stored(NamedTuple):
    """A message as the table has it."""

    n: int
    company: str | None
    group_n: int | None
    state: str
    settled_ms: int
    head: Head


class Change:
    """All that a batch says about one message."""

    __slots__ = ("events", "record")

    def __init__(self) -> None:
        self.record: MessageRecord | None = None
        self.events: list[Event] = []


class Rows:
    """What one transaction will write; filled document by document."""

    def __init__(self) -> None:
        self.inserts: list[tuple[object, ...]] = []
        self.folded: list[tuple[object, ...]] = []
        self.updates: list[tuple[object, ...]] = []
        self.bodies: list[tuple[int, int, Body]] = []
        self.words: list[tuple[int, str]] = []
        self.tags: list[tuple[str, int]] = []
        self.counts: Counter[tuple[int, str]] = Counter()
        self.pace: Counter[tuple[int, int]] = Counter()
        self.settled: dict[int, tuple[int, int]] = {}

    def count(self, group_n: int, before: Stored | None, state: str, settled_ms: int) -> None:
        """Moves the message from its state before to the one now."""
        known = before if before is not None and before.group_n is not None else None
        if known is None or known.state != state:
            self.counts[group_n, state] += 1
            if known is not None:
                self.counts[group_n, known.state] -= 1
        if settled_ms and not (known and known.settled_ms):
            number, last = self.settled.get(group_n, (0, 0))
            self.settled[group_n] = (number + 1, max(last, settled_ms))
            self.pace[settled_ms // 1000, group_n] += 1


class SqliteWriter:
    """Folds outcomes into the tables of one connection."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        """`connection` has the schema and belongs to this thread."""
        self._db = connection
        self._clock = clock
        self._groups: dict[tuple[str, str], int] = {}
        self._bodies = BodyWriter(connection)
        self._rollups = Rollups(connection)
        self._feed = FeedWriter(connection)
        self._next = 1 + (connection.execute("SELECT max(n) FROM messages").fetchone()[0] or 0)

    def write(self, outcome: Outcome) -> list[Refusal]:
        """One transaction, all or nothing. Returns the records that were kept stripped."""
        before = self._next
        self._db.execute("BEGIN IMMEDIATE")
        try:
            refused = self._write(outcome)
            self._db.execute("COMMIT")
        except BaseException:
            self._groups.clear()
            for part in (self._bodies, self._rollups, self._feed):
                part.forget()
            self._next = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return refused

    def _write(self, outcome: Outcome) -> list[Refusal]:
        for group in outcome.groups:
            self._write_group(group)
        for operation in outcome.group_events:
            self._write_operation(operation)
        changes = collect(outcome.messages, outcome.events)
        rows, refused = Rows(), list[Refusal]()
        for message_id, stored in self._read(changes):
            self._fold(message_id, changes[message_id], stored, rows, refused)
        self._store(rows)
        return refused

    def _write_group(self, record: GroupRecord) -> None:
        shared = record.shared
        n = self._group_n(shared.company_code, shared.group_id)
        parts = self._db.execute(
            "INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?, ?)",
            (n, record.part, record.total, record.accepted_at_ms, record.key_id),
        )
        if not parts.rowcount:
            return
        self._db.execute(
            "UPDATE groups SET method = ?, stream = ?, shared = coalesce(shared, ?), "
            "accepted_ms = min(coalesce(accepted_ms, ?4), ?4) WHERE n = ?5",
            (shared.method, shared.stream, pack(shared), record.accepted_at_ms, n),
        )
        if self._rollups.facts(n).shared is None:
            self._rollups.learn(n)
        self._db.executemany("INSERT OR IGNORE INTO group_tags VALUES (?, ?)", [(tag, n) for tag in shared.tags])

    def _write_operation(self, event: GroupEvent) -> None:
        n = self._group_n(event.company_code, event.group_id)
        self._db.execute(
            "INSERT OR IGNORE INTO operations VALUES (?, ?, ?, ?, ?, ?)",
            (n, event.time_ms, event.type, event.key_id, event.reason_code, event.reason_text),
        )

    def _group_n(self, company: str, group_id: str) -> int:
        """The group's number; one whose record has not come yet gets its row here."""
        n = self._groups.get((company, group_id))
        if n is None:
            uuid = bytes.fromhex(ids.group_uuid(company, group_id).replace("-", ""))
            self._db.execute(
                "INSERT OR IGNORE INTO groups (company, group_id, uuid) VALUES (?, ?, ?)", (company, group_id, uuid)
            )
            (n,) = self._db.execute(
                "SELECT n FROM groups WHERE company = ? AND group_id = ?", (company, group_id)
            ).fetchone()
            if len(self._groups) > 10_000:
                self._groups.clear()
            self._groups[company, group_id] = n
        return n

    def _read(self, changes: dict[str, Change]) -> Iterable[tuple[str, Stored | None]]:
        by_id = {bytes.fromhex(message_id.replace("-", "")): message_id for message_id in changes}
        keys = list(by_id)
        for start in range(0, len(keys), _LOOKUP):
            wanted = keys[start : start + _LOOKUP]
            marks = ",".join("?" * len(wanted))
            sql = f"SELECT id, n, company, group_n, state, settled_ms, head FROM messages WHERE id IN ({marks})"  # noqa: S608 only marks
            for key, n, company, group_n, state, settled_ms, head in self._db.execute(sql, wanted).fetchall():
                yield by_id.pop(key), Stored(n, company, group_n, state, settled_ms, head_decoder.decode(head))
        for message_id in by_id.values():
            yield message_id, None

    def _fold(self, message_id: str, change: Change, stored: Stored | None, rows: Rows, refused: list[Refusal]) -> None:
        if stored is None:
            n, self._next = self._next, self._next + 1
            head, company, group_n = Head(), None, None
        else:
            n, head, company, group_n = stored.n, stored.head, stored.company, stored.group_n
        steps: list[Step] = []
        before = counted(head, head.folded) if group_n is not None else None
        folded = fold(message_id, head.folded, change.events, steps)
        external_id = folded.value("external_id")
        narrow = stored is not None and external_id == head.folded.value("external_id")
        record = change.record
        if record is not None and (rank := record_rank(record)) > head.record:
            if company is None:
                steps = steps_of(message_id, folded)
            company, group_n = record.company_code, self._group_n(record.company_code, record.group_id)
            head, body = self._take_record(n, record, rank, head, rows, refused)
            rows.bodies.append((n, group_n, body))
            narrow = False
        elif stored is not None and folded == head.folded:
            return
        head.folded = folded
        state, (reason, _) = folded.state, folded.reason
        if group_n is not None:
            rows.count(group_n, stored, state, folded.settled_ms)
            self._rollups.move(group_n, before, counted(head, folded))
            facts = self._rollups.facts(group_n)
            self._feed.add(facts.company, facts.group_id, message_id, steps)
        changing = (state, None if state in COMMON_STATES else state, reason or None, folded.settled_ms)
        packed = _encoder.encode(head)
        if narrow:
            rows.folded.append((n, *changing, packed))
            return
        address = normalise_address(head.address) if head.address else None
        id_ = bytes.fromhex(message_id.replace("-", ""))
        row = (n, id_, company, group_n, head.accepted_at_ms, *changing, address, external_id, packed)
        (rows.inserts if stored is None else rows.updates).append(row)

    def _take_record(
        self, n: int, record: MessageRecord, rank: tuple[int, int], old: Head, rows: Rows, refused: list[Refusal]
    ) -> tuple[Head, Body]:
        if old.record[0]:
            self._forget_words(n, old)
        body = body_of(record)
        try:
            head = head_of(record, rank)
        except NewerVersionError:
            raise
        except ValueError as exc:
            refused.append(Refusal(record, f"{record.reference}: {exc}"))
            head, body = stripped_head(rank, self._clock.now_ms(), str(exc)), Body()
        rows.words.append((n, fold_text(searchable(head, body.text))))
        rows.tags += [(tag, n) for tag in head.tags]
        return head, body

    def _forget_words(self, n: int, old: Head) -> None:
        """The index keeps no text, so what is taken out must be given as it was put in."""
        text = self._bodies.read(n).text
        self._db.execute(
            "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (n, fold_text(searchable(old, text)))
        )
        self._db.executemany("DELETE FROM tags WHERE tag = ? AND message_n = ?", [(tag, n) for tag in old.tags])

    def _store(self, rows: Rows) -> None:
        db = self._db
        db.executemany(_INSERT, rows.inserts)
        db.executemany(_UPDATE, rows.updates)
        db.executemany(_UPDATE_FOLDED, rows.folded)
        self._bodies.write(rows.bodies)
        db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", rows.words)
        db.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", rows.tags)
        db.executemany(_COUNT, [(*key, number) for key, number in rows.counts.items() if number])
        db.executemany(_SETTLED, [(n, number, last) for n, (number, last) in rows.settled.items()])
        self._rollups.flush()
        self._feed.flush(self._clock.now_ms())
        if rows.pace:
            oldest = self._clock.now_ms() // 1000 - _PACE_SECONDS
            db.execute("DELETE FROM pace WHERE second < ?", (oldest,))
            db.executemany(_PACE, [(*key, number) for key, number in rows.pace.items() if key[0] >= oldest])


def collect(records: Iterable[MessageRecord], events: Iterable[Event]) -> dict[str, Change]:
    """Records and events by message; of several records of one the best counts."""
    changes: dict[str, Change] = {}
    for record in records:
        change = _change(changes, record.reference)
        if change.record is None or record_rank(record) > record_rank(change.record):
            change.record = record
    for event in events:
        _change(changes, event.reference).events.append(event)
    return changes


def _change(changes: dict[str, Change], reference: str) -> Change:
    message_id = reference[-_ID_CHARS:]
    change = changes.get(message_id)
    if change is None:
        change = changes[message_id] = Change()
    return change
