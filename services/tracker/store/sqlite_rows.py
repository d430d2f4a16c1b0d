"""Rows of the SQLite store: what one transaction will write, gathered document by document."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import NamedTuple

import msgspec

from morpheus_kit.addresses import normalise_address
from services.tracker.documents import Body, Head, place_of
from services.tracker.fold import Folded
from services.tracker.store.schema import COMMON_STATES

_ID_CHARS = 36
_PACE_SECONDS = 120

_INSERT = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE messages SET id = ?2, company = ?3, group_n = ?4, accepted_ms = ?5, state = ?6, notable = ?7, "
    "reason = ?8, settled_ms = ?9, address = ?10, external_id = ?11, head = ?12, place = ?13 WHERE n = ?1"
)
_UPDATE_FOLDED = "UPDATE messages SET state = ?2, notable = ?3, reason = ?4, settled_ms = ?5, head = ?6 WHERE n = ?1"
_COUNT = "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET messages = messages + ?3"
_PACE = "INSERT INTO pace VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET messages = messages + ?3"
_SETTLED = "UPDATE groups SET settled = settled + ?2, settled_ms = max(settled_ms, ?3) WHERE n = ?1"
_RESETTLED = (
    "UPDATE groups SET settled_ms = (SELECT max(m.settled_ms) FROM messages m WHERE m.group_n = ?1) WHERE n = ?1"
)

_encoder = msgspec.msgpack.Encoder()


class Stored(NamedTuple):
    """A message as the table has it."""

    n: int
    company: str | None
    group_n: int | None
    state: str
    settled_ms: int
    head: Head


def row_of(n: int, reference: str, company: str | None, group_n: int | None, head: Head) -> tuple[object, ...]:
    """The row of `messages`."""
    folded = head.folded
    return (
        n,
        bytes.fromhex(reference[-_ID_CHARS:].replace("-", "")),
        company,
        group_n,
        head.accepted_at_ms,
        *changing_columns(folded),
        normalise_address(head.address) if head.address else None,
        folded.value("external_id"),
        _encoder.encode(head),
        bytes.fromhex(place_of(reference, head.part, head.index)) if company is not None else None,
    )


def changing_columns(folded: Folded) -> tuple[object, ...]:
    """The columns that events change most of the time."""
    state, (reason, _) = folded.state, folded.reason
    return (state, None if state in COMMON_STATES else state, reason or None, folded.settled_ms)


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
        self.resettled: set[int] = set()
        """Groups with a message that turned out to have been settled earlier than was known."""

    def count(self, group_n: int, before: Stored | None, state: str, settled_ms: int) -> None:
        """Moves the message from its state before to the one now."""
        known = before if before is not None and before.group_n is not None else None
        if known is None or known.state != state:
            self.counts[group_n, state] += 1
            if known is not None:
                self.counts[group_n, known.state] -= 1
        earlier = known.settled_ms if known is not None else 0
        if settled_ms and not earlier:
            number, last = self.settled.get(group_n, (0, 0))
            self.settled[group_n] = (number + 1, max(last, settled_ms))
        if settled_ms != earlier:
            self.pace[settled_ms // 1000, group_n] += 1
            if earlier:
                self.pace[earlier // 1000, group_n] -= 1
                self.resettled.add(group_n)

    def write(self, db: sqlite3.Connection, now_ms: int) -> None:
        """All but the bodies. Part of the caller's transaction."""
        db.executemany(_INSERT, self.inserts)
        db.executemany(_UPDATE, self.updates)
        db.executemany(_UPDATE_FOLDED, self.folded)
        db.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", self.words)
        db.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", self.tags)
        db.executemany(_COUNT, [(*key, number) for key, number in self.counts.items() if number])
        db.executemany(_SETTLED, [(n, number, last) for n, (number, last) in self.settled.items()])
        db.executemany(_RESETTLED, [(n,) for n in self.resettled])
        if self.pace:
            oldest = now_ms // 1000 - _PACE_SECONDS
            db.execute("DELETE FROM pace WHERE second < ?", (oldest,))
            db.executemany(_PACE, [(*key, number) for key, number in self.pace.items() if key[0] >= oldest])
