"""Takes messages out of the SQLite store: what a person who was erased leaves, and nothing at all when time is over.

Everything here runs on the store's one writer thread, as part of the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.tracker.documents import Head, erased_head, searchable
from services.tracker.store.bodies import BodyWriter
from services.tracker.store.schema import COMMON_STATES
from services.tracker.store.sqlite_rollups import Rollups, counted
from services.tracker.words import distinct_words

_ERASED = (
    "UPDATE messages SET state = ?2, notable = ?3, reason = ?4, head = ?5, address = NULL, external_id = NULL, "
    "place = NULL WHERE n = ?1"
)
_COUNT = "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET messages = messages + ?3"
_UNUSED_DICTIONARIES = (
    "DELETE FROM dictionaries WHERE group_n = ? AND NOT EXISTS (SELECT 1 FROM messages m JOIN bodies b ON b.n = m.n "
    "WHERE m.group_n = dictionaries.group_n)"
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Head).decode


class Removal:
    """Erases messages."""

    def __init__(self, connection: sqlite3.Connection, bodies: BodyWriter, rollups: Rollups) -> None:
        """All of the writer's connection."""
        self._db = connection
        self._bodies = bodies
        self._rollups = rollups

    def erase(self, company: str, message_ids: Sequence[str]) -> int:
        """Makes messages what `erased_head` says; how many were not yet."""
        groups: set[int | None] = set()
        erased = 0
        for message_id in message_ids:
            sql = "SELECT n, group_n, state, head FROM messages WHERE id = ? AND company = ?"
            found = self._db.execute(sql, (UUID(message_id).bytes, company)).fetchone()
            if found is None or (head := _decode(found[3])).erased:
                continue
            n, group_n, state, _ = found
            self._erase((message_id, n, group_n, state), head)
            groups.add(group_n)
            erased += 1
        self._rollups.flush()
        self._forget_dictionaries(groups)
        return erased

    def _erase(self, row: tuple[str, int, int | None, str], head: Head) -> None:
        message_id, n, group_n, state = row
        db, left = self._db, erased_head(message_id, head)
        now, (reason, _) = left.folded.state, left.folded.reason
        self.remove_contents(n, head)
        db.execute(_ERASED, (n, now, None if now in COMMON_STATES else now, reason or None, _encode(left)))
        if group_n is not None:
            self._rollups.move(group_n, counted(head, head.folded), counted(left, left.folded))
            if now != state:
                db.executemany(_COUNT, [(group_n, state, -1), (group_n, now, 1)])

    def remove_contents(self, n: int, head: Head) -> None:
        """Words, tags and body of a message."""
        if head.record[0] and not head.erased:
            forget_words(self._db, self._bodies, n, head)
        self._db.execute("DELETE FROM bodies WHERE n = ?", (n,))

    def _forget_dictionaries(self, groups: set[int | None]) -> None:
        """What the bodies of a group had in common goes with the last of them."""
        self._db.executemany(_UNUSED_DICTIONARIES, [(group_n,) for group_n in groups if group_n is not None])
        self._bodies.forget()


def forget_words(db: sqlite3.Connection, bodies: BodyWriter, n: int, old: Head) -> None:
    """The index keeps no text, so what is taken out must be given as it was put in."""
    text = distinct_words(searchable(old, bodies.read(n).text))
    db.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (n, text))
    db.executemany("DELETE FROM tags WHERE tag = ? AND message_n = ?", [(tag, n) for tag in old.tags])
