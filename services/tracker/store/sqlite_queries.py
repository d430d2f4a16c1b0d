"""Groups and messages, as the SQLite store answers them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from morpheus_kit.addresses import normalise_address
from morpheus_kit.queue.schema import unpack_shared
from services.tracker.documents import Document
from services.tracker.store.base import EVERYONE, GroupFilter, GroupRow, MessageFilter, Operation, Position
from services.tracker.store.bodies import unpack_body
from services.tracker.store.schema import COMMON_STATES
from services.tracker.store.sqlite_conditions import Conditions
from services.tracker.store.sqlite_words import HEADS, MESSAGES, ORDER, Words
from services.tracker.store.sqlite_writer import head_decoder

_LATELY_SECONDS = 60

_GROUP = "SELECT g.n, g.shared, g.accepted_ms, g.settled, g.settled_ms, g.versions FROM groups g"
_DETAIL = (
    "SELECT m.place, m.id, m.head, g.shared, b.data, d.data FROM messages m JOIN groups g ON g.n = m.group_n "
    "LEFT JOIN bodies b ON b.n = m.n LEFT JOIN dictionaries d ON d.n = b.dictionary"
)


def read_group(db: sqlite3.Connection, now_ms: int, company: str, group_id: str) -> GroupRow | None:
    """For `*` the newest group of that id."""
    where = Conditions("g", company)
    where.add("g.group_id = ?", group_id)
    rows = where.fetch(db, _GROUP, "ORDER BY g.accepted_ms DESC LIMIT 1")
    return _group_rows(db, now_ms, rows)[0] if rows else None


def read_groups(
    db: sqlite3.Connection, now_ms: int, company: str, wanted: GroupFilter, page: tuple[Position | None, int]
) -> list[GroupRow]:
    """One page."""
    after, limit = page
    where = Conditions("g", company)
    if wanted.method:
        where.add("g.method = ?", wanted.method)
    if wanted.tag:
        where.add("g.n IN (SELECT group_n FROM group_tags WHERE tag = ?)", wanted.tag)
    where.among("g.accepted_ms", wanted.from_ms, wanted.to_ms)
    if after is not None:
        where.add("(g.accepted_ms, g.uuid) < (?, ?)", after.accepted_ms, UUID(after.place).bytes)
    rows = where.fetch(db, _GROUP, "ORDER BY g.accepted_ms DESC, g.uuid DESC LIMIT ?", limit)
    return _group_rows(db, now_ms, rows)


def _group_rows(db: sqlite3.Connection, now_ms: int, rows: Sequence[tuple[Any, ...]]) -> list[GroupRow]:
    """`rows` were selected under conditions; these look up what belongs to them."""
    result = []
    since = now_ms // 1000 - _LATELY_SECONDS
    for n, shared, accepted_ms, settled, settled_ms, versions in rows:
        parts_in, total = db.execute("SELECT count(*), sum(total) FROM parts WHERE group_n = ?", (n,)).fetchone()
        counts = db.execute("SELECT state, messages FROM counts WHERE group_n = ? AND messages <> 0", (n,)).fetchall()
        (lately,) = db.execute(
            "SELECT coalesce(sum(messages), 0) FROM pace WHERE second > ? AND group_n = ?", (since, n)
        ).fetchone()
        operations = db.execute(
            "SELECT type, key_id, time_ms, reason_code, reason_text FROM operations WHERE group_n = ? "
            "ORDER BY time_ms, type, key_id",
            (n,),
        ).fetchall()
        result.append(
            GroupRow(
                unpack_shared(shared),
                accepted_ms,
                total,
                parts_in,
                dict(counts),
                settled,
                settled_ms,
                lately,
                tuple(Operation(*row) for row in operations),
                msgspec.msgpack.decode(versions, type=dict[str, str]) if versions else {},
            )
        )
    return result


def read_message(db: sqlite3.Connection, company: str, message_id: str) -> Document | None:
    """One message with its body."""
    where = Conditions("m", company)
    where.add("m.id = ?", UUID(message_id).bytes)
    for place, id_, head, shared, data, dictionary in where.fetch(db, _DETAIL):
        body = unpack_body(data, dictionary) if data else None
        return Document(str(UUID(bytes=id_)), unpack_shared(shared), head_decoder.decode(head), place.hex(), body)
    return None


def read_messages(
    db: sqlite3.Connection, company: str, wanted: MessageFilter, after: Position | None, limit: int
) -> list[Document]:
    """One page. For `*` the pages of all companies are merged: each comes in order from its own index."""
    companies = (
        [company] if company != EVERYONE else [row[0] for row in db.execute("SELECT DISTINCT company FROM groups")]
    )
    pages = [_page(db, each, wanted, after, limit) for each in companies]
    rows = pages[0] if len(pages) == 1 else sorted((row for page in pages for row in page), reverse=True)[:limit]
    shared = {packed: unpack_shared(packed) for packed in {row[4] for row in rows}}
    return [
        Document(str(UUID(bytes=id_)), shared[packed], head_decoder.decode(head), place.hex())
        for _, place, id_, head, packed in rows
    ]


def _page(
    db: sqlite3.Connection, company: str, wanted: MessageFilter, after: Position | None, limit: int
) -> list[tuple[Any, ...]]:
    where = Conditions("m", company)
    if wanted.group_id:
        where.add("m.group_n = (SELECT n FROM groups WHERE company = ? AND group_id = ?)", company, wanted.group_id)
    _add_fields(where, wanted)
    _add_group_fields(where, wanted)
    where.among("m.accepted_ms", wanted.from_ms, wanted.to_ms)
    if wanted.words:
        words = Words(db, wanted.words)
        if words.dear and (rows := words.newest(_steps(where, after), limit)) is not None:
            return rows
        words.add_to(where)
    rows = []
    for step in _steps(where, after):
        rows += step.fetch(db, f"{HEADS} {MESSAGES}", ORDER, limit - len(rows))
        if len(rows) == limit:
            break
    return rows


def _steps(where: Conditions, after: Position | None) -> list[Conditions]:
    """Two index ranges where one comparison of pairs would read a time's messages from their beginning."""
    if after is None:
        return [where]
    same = where.also("m.accepted_ms = ? AND m.place < ?", after.accepted_ms, bytes.fromhex(after.place))
    return [same, where.also("m.accepted_ms < ?", after.accepted_ms)]


def _add_fields(where: Conditions, wanted: MessageFilter) -> None:
    if wanted.state and wanted.state not in COMMON_STATES:
        where.add("m.notable = ?", wanted.state)
    if wanted.reason:
        where.add("m.reason = ?", wanted.reason)
    if wanted.external_id:
        where.add("m.external_id = ?", wanted.external_id)
    if wanted.address:
        where.add("m.address = ?", normalise_address(wanted.address))


def _add_group_fields(where: Conditions, wanted: MessageFilter) -> None:
    """What only the groups know. The plus keeps the order's index: most messages of a company match these."""
    if wanted.state in COMMON_STATES:
        where.add("m.state = ?", wanted.state)
        where.add("+m.group_n IN (SELECT group_n FROM counts WHERE state = ? AND messages > 0)", wanted.state)
    if wanted.method:
        where.add("+m.group_n IN (SELECT n FROM groups WHERE method = ?)", wanted.method)
    if wanted.stream:
        where.add("+m.group_n IN (SELECT n FROM groups WHERE stream = ?)", wanted.stream)
    for tag in wanted.tags:
        where.add(
            "(+m.n IN (SELECT message_n FROM tags WHERE tag = ?) "
            "OR +m.group_n IN (SELECT group_n FROM group_tags WHERE tag = ?))",
            tag,
            tag,
        )
