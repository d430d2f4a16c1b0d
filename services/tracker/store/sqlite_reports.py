"""Statistics, costs and kept inputs of the SQLite store.

Whole hours are read from the counts that the writer keeps. Of an hour that a range cuts in two, the messages
themselves are counted, but only when there are any in the part that was not asked for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from morpheus_kit.queue.schema import unpack_shared
from services.tracker.documents import Document
from services.tracker.store import reports
from services.tracker.store.bodies import unpack_body
from services.tracker.store.reports import (
    HOUR_MS,
    CostItem,
    CostQuery,
    StatisticsItem,
    StatisticsQuery,
    TooManyItemsError,
)
from services.tracker.store.sqlite_conditions import Conditions
from services.tracker.store.sqlite_rollups import RollupKey, counted, keys_of
from services.tracker.store.sqlite_writer import head_decoder
from services.tracker.store.tallies import reached_names

_COLUMNS = "company, tag, hour, method, state, reached, currency, messages, cost_micros"
_ROLLUPS = f"SELECT {', '.join('r.' + name for name in _COLUMNS.split(', '))} FROM rollups r"  # noqa: S608 no input
_EDGES = f"SELECT {', '.join(f'value ->> {n}' for n in range(len(_COLUMNS.split(', '))))} FROM json_each(?)"  # noqa: S608 no input
_MESSAGES = "SELECT m.company, m.head, g.shared FROM messages m JOIN groups g ON g.n = m.group_n"
_ANY = "SELECT 1 FROM messages m JOIN groups g ON g.n = m.group_n"
_DETAILS = (
    "SELECT m.n, m.id, m.head, g.shared, b.data, d.data FROM messages m JOIN groups g ON g.n = m.group_n "
    "LEFT JOIN bodies b ON b.n = m.n LEFT JOIN dictionaries d ON d.n = b.dictionary"
)
_COST_KEYS = {
    "company": "company",
    "method": "method",
    "tag": "tag",
    "day": "strftime('%Y-%m-%d', hour * 3600, 'unixepoch')",
}


class _Source(NamedTuple):
    """A common table expression `counts` of all rows that a question is about."""

    sql: str
    values: list[Any]


def read_statistics(db: sqlite3.Connection, company: str, wanted: StatisticsQuery) -> list[StatisticsItem]:
    """By bucket, method, tag. TooManyItemsError."""
    source = _source(db, company, (wanted.from_ms, wanted.to_ms), by_tag=wanted.by_tag)
    columns = ["method" if wanted.by_method else "''", "tag" if wanted.by_tag else "''"]
    sql = (
        f"{source.sql} SELECT hour / {wanted.interval_ms // HOUR_MS} AS bucket, {', '.join(columns)}, state, reached, "  # noqa: S608 no input
        "sum(messages) FROM counts GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3"
    )
    items: dict[tuple[int, str, str], StatisticsItem] = {}
    for bucket, method, tag, state, reached, messages in db.execute(sql, source.values):
        item = items.get((bucket, method, tag))
        if item is None:
            if len(items) == reports.MOST_ITEMS:
                raise TooManyItemsError
            item = items[bucket, method, tag] = StatisticsItem(bucket * wanted.interval_ms, method, tag)
        item.counts[state] = item.counts.get(state, 0) + messages
        for name in reached_names(reached):
            item.reached[name] = item.reached.get(name, 0) + messages
    return list(items.values())


def read_costs(db: sqlite3.Connection, company: str, wanted: CostQuery) -> list[CostItem]:
    """By key, then currency. TooManyItemsError."""
    source = _source(db, company, (wanted.from_ms, wanted.to_ms), by_tag=wanted.by == "tag", priced=True)
    sql = (
        f"{source.sql} SELECT {_COST_KEYS[wanted.by]}, currency, sum(messages), sum(cost_micros) FROM counts "  # noqa: S608 no input
        "GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?"
    )
    rows = db.execute(sql, [*source.values, reports.MOST_ITEMS + 1]).fetchall()
    if len(rows) > reports.MOST_ITEMS:
        raise TooManyItemsError
    return [CostItem(*row) for row in rows]


def read_details(db: sqlite3.Connection, company: str, message_ids: Sequence[str]) -> list[Document]:
    """Messages with their bodies."""
    where = Conditions("m", company)
    where.add(f"m.id IN ({', '.join('?' * len(message_ids))})", *(UUID(each).bytes for each in message_ids))
    return [
        Document(
            str(UUID(bytes=id_)),
            unpack_shared(shared),
            head_decoder.decode(head),
            str(n),
            unpack_body(data, dictionary) if data else None,
        )
        for n, id_, head, shared, data, dictionary in where.fetch(db, _DETAILS)
    ]


def _source(
    db: sqlite3.Connection,
    company: str,
    between: tuple[int | None, int | None],
    *,
    by_tag: bool,
    priced: bool = False,
) -> _Source:
    low, high, edges = _hours(db, company, *between)
    where = Conditions("r", company)
    where.add("r.tagged = ?", by_tag)
    where.among("r.hour", low, high)
    if priced:
        where.add("r.currency <> ''")
    select, values = where.statement(_ROLLUPS)
    if edges:
        rows = [row for row in _count_edges(db, company, edges) if bool(row[1]) == by_tag and (row[6] or not priced)]
        select, values = f"{select} UNION ALL {_EDGES}", [*values, json.dumps(rows)]
    sql = f"WITH counts ({_COLUMNS}) AS ({select})"
    if by_tag:
        top = f"SELECT tag FROM every GROUP BY tag ORDER BY sum(messages) DESC, tag LIMIT {reports.MOST_TAGS}"  # noqa: S608 no input
        sql = f"WITH every ({_COLUMNS}) AS ({select}), counts AS (SELECT * FROM every WHERE tag IN ({top}))"  # noqa: S608 no input
    return _Source(sql, values)


def _hours(
    db: sqlite3.Connection, company: str, from_ms: int | None, to_ms: int | None
) -> tuple[int | None, int | None, list[tuple[int, int]]]:
    """Whole hours (half-open), and what of the range lies outside of them."""
    low = None if from_ms is None else from_ms // HOUR_MS
    high = None if to_ms is None else -(-to_ms // HOUR_MS)
    edges: list[tuple[int, int]] = []
    if low is not None and from_ms is not None and _any(db, company, low * HOUR_MS, from_ms):
        low += 1
        edges.append((from_ms, low * HOUR_MS if to_ms is None else min(low * HOUR_MS, to_ms)))
    if high is not None and to_ms is not None and (low is None or high > low):
        end = high * HOUR_MS
        if _any(db, company, to_ms, end):
            high -= 1
            edges.append((max(end - HOUR_MS, from_ms or 0), to_ms))
    return low, high, edges


def _any(db: sqlite3.Connection, company: str, from_ms: int, to_ms: int) -> bool:
    if from_ms >= to_ms:
        return False
    where = Conditions("m", company, counting=True)
    where.among("m.accepted_ms", from_ms, to_ms)
    return bool(where.fetch(db, _ANY, "LIMIT 1"))


def _count_edges(db: sqlite3.Connection, company: str, edges: Iterable[tuple[int, int]]) -> list[tuple[str | int, ...]]:
    """The messages of cut hours as rows of `rollups`."""
    rows: dict[RollupKey, list[int]] = {}
    for from_ms, to_ms in edges:
        where = Conditions("m", company, counting=True)
        where.among("m.accepted_ms", from_ms, to_ms)
        sql, values = where.statement(_MESSAGES)
        for owner, packed, shared in db.execute(sql, values):
            head = head_decoder.decode(packed)
            message = counted(head, head.folded)
            for key in keys_of(owner, unpack_shared(shared), message):
                row = rows.setdefault(key, [0, 0])
                row[0] += 1
                row[1] += message.cost_micros
    return [(*key, messages, cost) for key, (messages, cost) in rows.items()]
