"""Drops what is not kept any more from the SQLite store, some rows at a time.

First a group with all its messages is taken out of the counts and becomes invisible, at once; then its rows go. A group
without shared information that has an acceptance time is one whose rows are still to go.

Everything here runs on the store's one writer thread, as part of the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from morpheus_kit.retention import Retention, first_kept, month_start_ms
from services.tracker.documents import Head
from services.tracker.store.sqlite_removal import Removal
from services.tracker.store.sqlite_rollups import Rollups, counted

_GROUP_TABLES: Final = ("parts", "operations", "group_tags", "counts", "pace", "dictionaries")
_HIDDEN: Final = "SELECT n FROM groups WHERE shared IS NULL AND accepted_ms IS NOT NULL LIMIT 1"
_OLDEST: Final = "SELECT company, min(accepted_ms) FROM groups WHERE shared IS NOT NULL GROUP BY company"
_OVER: Final = (
    "SELECT n FROM groups WHERE company = ? AND accepted_ms < ? AND shared IS NOT NULL ORDER BY accepted_ms LIMIT 1"
)
_MESSAGES: Final = "SELECT n, head FROM messages WHERE group_n = ? LIMIT ?"
_ORPHANS: Final = (
    "SELECT n, head FROM messages WHERE group_n IS NULL "
    "AND n < coalesce((SELECT min(n) FROM messages WHERE group_n IS NOT NULL), 9e18) ORDER BY n LIMIT ?"
)
_decode = msgspec.msgpack.Decoder(Head).decode


class Dropping:
    """One step after the other."""

    def __init__(self, connection: sqlite3.Connection, removal: Removal, rollups: Rollups) -> None:
        """All of the writer's connection."""
        self._db = connection
        self._removal = removal
        self._rollups = rollups

    def step(self, retention: Retention, now_ms: int, limit: int) -> int:
        """How many rows; 0: nothing is left to do."""
        dropped = 0
        while dropped < limit:
            found = self._db.execute(_HIDDEN).fetchone() or self._hide(retention, now_ms)
            if found is None:
                return dropped + self._drop_orphans(first_kept(retention.longest_s, now_ms), limit)
            dropped += self._drop_rows(found[0], limit - dropped)
        return dropped

    def _hide(self, retention: Retention, now_ms: int) -> tuple[int] | None:
        """The next group that is over is seen and counted no more."""
        for company, oldest_ms in self._db.execute(_OLDEST).fetchall():
            edge_ms = month_start_ms(first_kept(retention.of(company), now_ms))
            if oldest_ms < edge_ms:
                found: tuple[int] = self._db.execute(_OVER, (company, edge_ms)).fetchone()
                for (head,) in self._db.execute("SELECT head FROM messages WHERE group_n = ?", found):
                    decoded = _decode(head)
                    if decoded.record[0]:
                        self._rollups.move(found[0], counted(decoded, decoded.folded), None)
                self._rollups.flush()
                self._db.execute("UPDATE groups SET shared = NULL WHERE n = ?", found)
                return found
        return None

    def _drop_rows(self, group_n: int, limit: int) -> int:
        """Some messages of a group; after the last of them the group itself."""
        rows = self._db.execute(_MESSAGES, (group_n, limit)).fetchall()
        for n, head in rows:
            self._removal.remove_contents(n, _decode(head))
        self._db.executemany("DELETE FROM messages WHERE n = ?", [(n,) for n, _ in rows])
        if len(rows) == limit:
            return limit
        for table in _GROUP_TABLES:
            self._db.execute(f"DELETE FROM {table} WHERE group_n = ?", (group_n,))  # noqa: S608 names of ours
        self._db.execute("DELETE FROM groups WHERE n = ?", (group_n,))
        return len(rows) + 1

    def _drop_orphans(self, first_month: str, limit: int) -> int:
        """Events of before whose records never came, or went before them."""
        edge_ms = month_start_ms(first_month)
        rows = [(n, _decode(head).folded.events) for n, head in self._db.execute(_ORPHANS, (limit,)).fetchall()]
        old = [(n,) for n, events in rows if all(event.time_ms < edge_ms for event in events)]
        self._db.executemany("DELETE FROM messages WHERE n = ?", old)
        return len(old)
