"""The feed of the SQLite store: blocks numbered in the order of recording.

There is one writer, so numbers are given in the order in which transactions become visible: no reader
passes a change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from services.tracker.fold import Step
from services.tracker.store.feed_blocks import Entry, blocks_of, entries_of, unpack_block
from services.tracker.store.reports import FEED_MS, FeedItem
from services.tracker.store.sqlite_conditions import Conditions

_BLOCKS_READ = 16
_BLOCKS_DROPPED = 50
_MOST_DIGITS = 18

_SELECT = "SELECT f.last_seq, f.company, f.items FROM feed f"
_DROP_OLD = (
    "DELETE FROM feed WHERE recorded_ms < ? AND last_seq IN (SELECT last_seq FROM feed ORDER BY last_seq LIMIT ?)"
)


class FeedWriter:
    """Appends to the feed; belongs to the writer's connection and thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` has the schema."""
        self._db = connection
        self._entries: dict[str, list[Entry]] = {}

    def add(self, company: str, group_id: str, message_id: str, steps: Sequence[Step]) -> None:
        """Gathers what changed one message."""
        if steps:
            self._entries.setdefault(company, []).extend(entries_of(group_id, message_id, steps))

    def flush(self, now_ms: int) -> None:
        """Writes what was gathered, and drops what is too old. Part of the caller's transaction."""
        if not self._entries:
            return
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'feed'").fetchone()
        seq = found[0] if found else 0
        for company, entries in self._entries.items():
            for number, packed in blocks_of(entries):
                seq += number
                self._db.execute("INSERT INTO feed VALUES (?, ?, ?, ?)", (seq, company, now_ms, packed))
        self._db.execute(_DROP_OLD, (now_ms - FEED_MS, _BLOCKS_DROPPED))
        self._entries.clear()

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._entries.clear()


def read_changes(db: sqlite3.Connection, now_ms: int, company: str, after: str, limit: int) -> list[FeedItem]:
    """One page. ValueError when `after` is no cursor."""
    if after and not (after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS):
        raise ValueError(after)
    seq, found = int(after or 0), list[FeedItem]()
    while len(found) < limit:
        where = Conditions("f", company)
        where.add("f.last_seq > ?", seq)
        where.add("f.recorded_ms >= ?", now_ms - FEED_MS)
        blocks = where.fetch(db, _SELECT, "ORDER BY f.last_seq LIMIT ?", _BLOCKS_READ)
        for last_seq, owner, packed in blocks:
            entries = unpack_block(packed)
            for number, entry in enumerate(entries, last_seq - len(entries) + 1):
                if number > seq:
                    found.append(entry.item(str(number), owner))
            seq = last_seq
            if len(found) >= limit:
                break
        if len(blocks) < _BLOCKS_READ:
            break
    return found[:limit]
