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
_LOG_TRIES: Final = 5


class Tidying:
    """One pass; `step` until it says that it is done."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` is the writer's."""
        self._db = connection
        self._merge = -_PAGES
        self._filling = False
        self._log_tries = 0

    def step(self) -> bool:
        """True when nothing is left to do. Part of no transaction."""
        if self._merge:
            self._merge = self._merge_words()
            return False
        if not self._filling:
            self._db.execute(f"DROP TABLE IF EXISTS {_FILL}")
            self._db.execute(f"CREATE TABLE {_FILL} (zeros BLOB)")
            self._filling = True
        if not self._log_tries and self._fill():
            return False
        if not self._log_tries:
            self._db.execute(f"DROP TABLE {_FILL}")
        self._log_tries += 1
        # A reader may still need the log; it ends soon.
        (busy, _, _) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy or self._log_tries == _LOG_TRIES

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
