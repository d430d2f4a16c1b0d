"""Suppressed addresses in the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from morpheus_kit.queue.schema import unpack_shared
from services.tracker.store.privacy import (
    SUPPRESSED_STATES,
    SUPPRESSING,
    Suppression,
    SuppressionKey,
    SuppressionPlace,
    Unwanted,
)
from services.tracker.store.sqlite_writer import head_decoder

_ID_CHARS = 36
_LOOKUP = 30_000
_FIELDS = "company, stream, recipient, reason, time_ms, address"


def read_unwanted(db: sqlite3.Connection, references: Sequence[str]) -> list[Unwanted]:
    """See `PrivacyStore.unwanted`."""
    keys = [bytes.fromhex(reference[-_ID_CHARS:].replace("-", "")) for reference in dict.fromkeys(references)]
    found = []
    for start in range(0, len(keys), _LOOKUP):
        wanted = keys[start : start + _LOOKUP]
        sql = (
            "SELECT m.company, m.head, g.shared FROM messages m JOIN groups g ON g.n = m.group_n "  # noqa: S608 only marks
            f"WHERE m.id IN ({_marks(wanted)}) AND m.notable IN ({_marks(SUPPRESSED_STATES)}) AND g.shared IS NOT NULL"
        )
        for company, packed, shared in db.execute(sql, (*wanted, *SUPPRESSED_STATES)).fetchall():
            head = head_decoder.decode(packed)
            kinds = {SUPPRESSING[event.type] for event in head.folded.events if event.type in SUPPRESSING}
            if kinds and head.address:
                found.append(Unwanted(company, unpack_shared(shared).stream, head.address, tuple(sorted(kinds))))
    return found


def add_suppressions(db: sqlite3.Connection, rows: Sequence[Suppression]) -> list[bool]:
    """See `PrivacyStore.add_suppressions`."""
    sql = f"INSERT OR IGNORE INTO suppressions ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 a constant
    return [db.execute(sql, row).rowcount > 0 for row in rows]


def remove_suppressions(db: sqlite3.Connection, company: str, recipient: bytes, stream: str) -> list[str]:
    """See `PrivacyStore.remove_suppressions`."""
    sql = "DELETE FROM suppressions WHERE company = ?1 AND recipient = ?2 AND (?3 = '' OR stream = ?3) RETURNING stream"
    return [stream for (stream,) in db.execute(sql, (company, recipient, stream)).fetchall()]


def read_suppressions(
    db: sqlite3.Connection, company: str, recipient: bytes | None, after: SuppressionPlace | None, limit: int
) -> list[Suppression]:
    """See `PrivacyStore.suppressions`."""
    sql = (
        f"SELECT {_FIELDS} FROM suppressions WHERE company = ?1 AND (?2 IS NULL OR recipient = ?2) "  # noqa: S608 as above
        "AND (?3 IS NULL OR (time_ms, stream, recipient) < (?3, ?4, ?5)) "
        "ORDER BY time_ms DESC, stream DESC, recipient DESC LIMIT ?6"
    )
    place = after or (None, None, None)
    return [Suppression(*row) for row in db.execute(sql, (company, recipient, *place, limit)).fetchall()]


def read_all_suppressions(db: sqlite3.Connection, after: SuppressionKey | None, limit: int) -> list[Suppression]:
    """See `PrivacyStore.all_suppressions`."""
    sql = (
        f"SELECT {_FIELDS} FROM suppressions WHERE (company, stream, recipient) > (?, ?, ?) "  # noqa: S608 as above
        "ORDER BY company, stream, recipient LIMIT ?"
    )
    return [Suppression(*row) for row in db.execute(sql, (*(after or ("", "", b"")), limit)).fetchall()]


def known_suppressions(db: sqlite3.Connection, company: str, stream: str, recipients: Sequence[bytes]) -> set[bytes]:
    """See `PrivacyStore.known_suppressions`."""
    sql = (
        "SELECT recipient FROM suppressions WHERE company = ? AND stream = ? "  # noqa: S608 only marks
        f"AND recipient IN ({_marks(recipients)})"
    )
    return {found for (found,) in db.execute(sql, (company, stream, *recipients)).fetchall()}


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
