"""Makes that what was taken out of the SQLite file is not in its bytes any more: word index, free pages, log.

SQLite leaves what is deleted where it was until the place is used again. Everything here goes on in small steps on the
store's one writer thread, so that outcomes are recorded in between.
"""

from __future__ import annotations

import sqlite3
from typing import Final

_PAGES: Final = 500
_FILL: Final = "free_pages"
_FILL_BYTES: Final = 1024 * 1024


class Tidying:
    """One pass; `step` until it says that it is done."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` is the writer's."""
        self._db = connection
        self._merge = -_PAGES
        self._filled: int | None = None

    def step(self) -> bool:
        """True when nothing is left to do. Part of no transaction."""
        if self._merge:
            self._merge = self._merge_words()
            return False
        if self._filled is None:
            self._db.execute(f"DROP TABLE IF EXISTS {_FILL}")
            self._db.execute(f"CREATE TABLE {_FILL} (zeros BLOB)")
            self._filled = 0
        if self._fill():
            return False
        self._db.execute(f"DROP TABLE {_FILL}")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return True

    def _merge_words(self) -> int:
        """Deleted words are in the index until its segments are one; how many pages to merge next."""
        before = self._db.total_changes
        self._db.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (self._merge,))
        return _PAGES if self._db.total_changes - before > 1 else 0

    def _fill(self) -> bool:
        """Zeros take the free pages; whether some may be left."""
        (free,), (size,) = (self._db.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size"))
        if not free:
            return False
        self._db.execute(f"INSERT INTO {_FILL} VALUES (zeroblob(?))", (min(_FILL_BYTES, free * size),))  # noqa: S608 a constant
        return True
