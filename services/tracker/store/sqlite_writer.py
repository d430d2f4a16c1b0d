"""Writes outcomes into the SQLite store: one transaction a batch, each document written once.

Everything here runs on the store's one writer thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from morpheus_kit import ids
from morpheus_kit.clock import Clock
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import GroupEvent, GroupRecord, pack
from morpheus_kit.retention import Retention
from services.tracker.documents import Head, searchable
from services.tracker.store.base import STARTED, Refusal, Written
from services.tracker.store.bodies import BodyWriter
from services.tracker.store.changes import Change, apply, collect
from services.tracker.store.privacy import SUPPRESSED_STATES
from services.tracker.store.sqlite_dropping import Dropping
from services.tracker.store.sqlite_feed import FeedWriter
from services.tracker.store.sqlite_removal import Removal, forget_words
from services.tracker.store.sqlite_rollups import Rollups, counted
from services.tracker.store.sqlite_rows import Rows, Stored, changing_columns, row_of
from services.tracker.words import distinct_words

T = TypeVar("T")
_LOOKUP = 30_000


_STARTED = "UPDATE groups SET versions = ?1, versions_ms = ?2 WHERE n = ?3 AND versions_ms <= ?2"

head_decoder = msgspec.msgpack.Decoder(Head)
_encoder = msgspec.msgpack.Encoder()


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
        self._removal = Removal(connection, self._bodies, self._rollups)
        self._next = 1 + (connection.execute("SELECT max(n) FROM messages").fetchone()[0] or 0)

    def write(self, outcome: Outcome) -> Written:
        """One transaction, all or nothing."""
        return self._transact(lambda: self._write(outcome))

    def erase(self, company: str, message_ids: Sequence[str]) -> int:
        """Makes these messages of a company what `erased_head` says, in one transaction; how many were not yet."""
        return self._transact(lambda: self._removal.erase(company, message_ids))

    def drop_over(self, retention: Retention, limit: int) -> int:
        """Deletes some of what is not kept any more, in one transaction; how many rows, 0: nothing is left."""
        return self._transact(lambda: self._drop_over(retention, limit))

    def _drop_over(self, retention: Retention, limit: int) -> int:
        dropped = Dropping(self._db, self._removal, self._rollups).step(retention, self._clock.now_ms(), limit)
        if dropped:
            self._groups.clear()
            self._rollups.forget()
            self._bodies.forget()
        return dropped

    def _transact(self, change: Callable[[], T]) -> T:
        before = self._next
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = change()
            self._db.execute("COMMIT")
        except BaseException:
            self._groups.clear()
            for part in (self._bodies, self._rollups, self._feed):
                part.forget()
            self._next = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _write(self, outcome: Outcome) -> Written:
        for group in outcome.groups:
            self._write_group(group)
        for operation in outcome.group_events:
            self._write_operation(operation)
        changes = collect(outcome)
        rows, written = Rows(), Written([], [])
        for message_id, stored in self._read(changes):
            change = changes[message_id]
            if self._fold(message_id, change, stored, rows, written.refused) in SUPPRESSED_STATES:
                written.unwelcome.append(change.reference)
        rows.write(self._db, self._clock.now_ms())
        self._bodies.write(rows.bodies)
        self._rollups.flush()
        self._feed.flush(self._clock.now_ms())
        return written

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
        if event.type == STARTED:
            self._db.execute(_STARTED, (_encoder.encode(event.template_versions), event.time_ms, n))
            return
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

    def _fold(self, message_id: str, change: Change, stored: Stored | None, rows: Rows, refused: list[Refusal]) -> str:
        """The message's state after it."""
        old = stored.head if stored is not None else None
        applied = apply(message_id, change, old, self._clock.now_ms())
        if applied is None:
            return stored.state if stored is not None else ""
        n, company, group_n = self._identity(change, stored)
        head, folded = applied.head, applied.head.folded
        if applied.body is not None:
            if old is not None and old.record[0]:
                forget_words(self._db, self._bodies, n, old)
            rows.bodies.append((n, group_n or 0, applied.body))
            rows.words.append((n, distinct_words(searchable(head, applied.body.text))))
            rows.tags += [(tag, n) for tag in head.tags]
            if applied.refusal is not None:
                refused.append(applied.refusal)
        state = folded.state
        if group_n is not None:
            rows.count(group_n, stored, state, folded.settled_ms)
            before = counted(old, old.folded) if old is not None and old.record[0] else None
            self._rollups.move(group_n, before, counted(head, folded))
            facts = self._rollups.facts(group_n)
            self._feed.add(facts.company, facts.group_id, message_id, applied.steps)
        same_id = old is not None and folded.value("external_id") == old.folded.value("external_id")
        if applied.body is None and same_id:
            rows.folded.append((n, *changing_columns(folded), _encoder.encode(head)))
            return state
        row = row_of(n, change.reference, company, group_n, head)
        (rows.inserts if stored is None else rows.updates).append(row)
        return state

    def _identity(self, change: Change, stored: Stored | None) -> tuple[int, str | None, int | None]:
        """Number, company and group of a message; the latter two come with its record."""
        record = change.record
        company = group_n = None
        if record is not None:
            company, group_n = record.company_code, self._group_n(record.company_code, record.group_id)
        if stored is not None:
            return stored.n, stored.company or company, group_n if stored.group_n is None else stored.group_n
        n, self._next = self._next, self._next + 1
        return n, company, group_n
