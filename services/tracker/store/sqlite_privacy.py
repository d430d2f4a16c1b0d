"""Suppressed addresses and erased persons in the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from uuid import UUID

from morpheus_kit.queue.schema import unpack_shared
from services.tracker.store.months import month_of
from services.tracker.store.privacy import (
    SUPPRESSED_STATES,
    SUPPRESSING,
    Erasure,
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


def add_erasure(db: sqlite3.Connection, erasure: Erasure) -> None:
    """See `PrivacyStore.add_erasure`."""
    sql = "INSERT INTO erasures VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET time_ms = max(time_ms, excluded.time_ms)"
    db.execute(sql, erasure)


def read_erasures(db: sqlite3.Connection, after: Erasure | None, limit: int) -> list[Erasure]:
    """See `PrivacyStore.erasures`."""
    sql = (
        "SELECT company, recipient, time_ms FROM erasures WHERE (company, recipient) > (?, ?) "
        "ORDER BY company, recipient LIMIT ?"
    )
    company, recipient = (after.company, after.recipient) if after else ("", b"")
    return [Erasure(*row) for row in db.execute(sql, (company, recipient, limit)).fetchall()]


def drop_erasures(db: sqlite3.Connection, before_ms: int, limit: int) -> list[Erasure]:
    """See `PrivacyStore.drop_erasures`."""
    sql = "SELECT company, recipient, time_ms FROM erasures WHERE time_ms < ? ORDER BY company, recipient LIMIT ?"
    found = [Erasure(*row) for row in db.execute(sql, (before_ms, limit)).fetchall()]
    db.executemany("DELETE FROM erasures WHERE company = ? AND recipient = ?", [row[:2] for row in found])
    return found


def messages_to(db: sqlite3.Connection, company: str, spellings: Sequence[str], limit: int) -> list[str]:
    """See `PrivacyStore.messages_to`."""
    sql = (
        "SELECT m.accepted_ms, m.place, m.id FROM messages m "  # noqa: S608 only marks
        f"WHERE m.company = ? AND m.address IN ({_marks(spellings)}) LIMIT ?"
    )
    rows = db.execute(sql, (company, *spellings, limit)).fetchall()
    return [f"{month_of(at)}-000-{place.hex()[:8]}-{UUID(bytes=id_)}" for at, place, id_ in rows]


def read_erased(db: sqlite3.Connection, references: Sequence[str]) -> set[str]:
    """See `PrivacyStore.erased`."""
    found = set()
    for reference in references:
        message_id = reference[-_ID_CHARS:]
        row = db.execute("SELECT head FROM messages WHERE id = ?", (UUID(message_id).bytes,)).fetchone()
        if row is not None and head_decoder.decode(row[0]).erased:
            found.add(message_id)
    return found


def forget_address(db: sqlite3.Connection, company: str, recipient: bytes) -> int:
    """See `PrivacyStore.forget_address`."""
    sql = "UPDATE suppressions SET address = NULL WHERE company = ? AND recipient = ? AND address IS NOT NULL"
    return db.execute(sql, (company, recipient)).rowcount


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
