"""The feed of changes: blocks of one transaction and company, numbered in the order of recording.

There is one writer, so numbers are given in the order in which transactions become visible: no reader
passes a change. A block is written once and dropped whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from uuid import UUID

import msgspec
import zstandard

from services.tracker.states import Step
from services.tracker.store.reports import FEED_MS, FeedItem
from services.tracker.store.sqlite_conditions import Conditions

_BLOCK_ITEMS = 1_000
_BLOCKS_READ = 16
_BLOCKS_DROPPED = 50
_MOST_DIGITS = 18
_LEVEL = 1

_SELECT = "SELECT f.last_seq, f.company, f.items FROM feed f"
_DROP_OLD = (
    "DELETE FROM feed WHERE recorded_ms < ? AND last_seq IN (SELECT last_seq FROM feed ORDER BY last_seq LIMIT ?)"
)
_encoder = msgspec.msgpack.Encoder()


class _Item(msgspec.Struct, array_like=True, frozen=True):
    message_id: bytes
    group_id: str
    type: str
    state: str
    time_ms: int
    reason_code: str


_decoder = msgspec.msgpack.Decoder(list[_Item])


class FeedWriter:
    """Appends to the feed; belongs to the writer's connection and thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` has the schema."""
        self._db = connection
        self._items: dict[str, list[_Item]] = {}

    def add(self, company: str, group_id: str, message_id: str, steps: Sequence[Step]) -> None:
        """Gathers what changed one message."""
        if steps:
            raw = bytes.fromhex(message_id.replace("-", ""))
            self._items.setdefault(company, []).extend([_Item(raw, group_id, *step) for step in steps])

    def flush(self, now_ms: int) -> None:
        """Writes what was gathered, and drops what is too old. Part of the caller's transaction."""
        if not self._items:
            return
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'feed'").fetchone()
        seq = found[0] if found else 0
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
        for company, items in self._items.items():
            for start in range(0, len(items), _BLOCK_ITEMS):
                block = items[start : start + _BLOCK_ITEMS]
                seq += len(block)
                packed = compressor.compress(_encoder.encode(block))
                self._db.execute("INSERT INTO feed VALUES (?, ?, ?, ?)", (seq, company, now_ms, packed))
        self._db.execute(_DROP_OLD, (now_ms - FEED_MS, _BLOCKS_DROPPED))
        self._items.clear()

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._items.clear()


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
            items = _decoder.decode(zstandard.ZstdDecompressor().decompress(packed))
            for number, item in enumerate(items, last_seq - len(items) + 1):
                if number > seq:
                    found.append(_feed_item(number, owner, item))
            seq = last_seq
            if len(found) >= limit:
                break
        if len(blocks) < _BLOCKS_READ:
            break
    return found[:limit]


def _feed_item(number: int, company: str, item: _Item) -> FeedItem:
    id_ = str(UUID(bytes=item.message_id))
    return FeedItem(str(number), id_, item.group_id, company, item.type, item.state, item.time_ms, item.reason_code)
