"""How the SQLite store finds messages by their words: in the index, or in the newest messages themselves.

The index knows the messages of a word only as a whole, in the order of recording. Of a word that most have, or of a
beginning that many words have, it would put together nearly all messages for a page of the newest ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from services.tracker.documents import searchable
from services.tracker.store.bodies import unpack_body
from services.tracker.store.sqlite_conditions import Conditions
from services.tracker.store.sqlite_writer import head_decoder
from services.tracker.words import LONGEST_WORD, split_words

HEADS: Final = "SELECT m.accepted_ms, m.place, m.id, m.head, g.shared"
MESSAGES: Final = "FROM messages m JOIN groups g ON g.n = m.group_n"
ORDER: Final = "ORDER BY m.accepted_ms DESC, m.place DESC LIMIT ?"
_TEXTS: Final = (
    f"{HEADS}, b.data, d.data {MESSAGES} JOIN bodies b ON b.n = m.n LEFT JOIN dictionaries d ON d.n = b.dictionary"
)
_MANY: Final = 10_000
_COMPLETIONS: Final = 32
_FIRST_LOOKED_AT: Final = 50
_LOOKED_AT_EACH: Final = 4
"""So many more for each one found: where fewer than every fourth message has the words, the index is sooner done."""

Row = tuple[Any, ...]


class Words:
    """Words that a message must have; the last one is the beginning of a word."""

    def __init__(self, db: sqlite3.Connection, words: Sequence[str]) -> None:
        """They are folded."""
        *whole, last = [word[:LONGEST_WORD] for word in words]
        # Words have letters and digits only, so quoting them is enough.
        rest = [f'"{word}"' + " *" * (len(word) == LONGEST_WORD) for word in whole]
        found = _completions(db, last)
        self._some = self._match = " AND ".join([*rest, f"({' OR '.join(found)})" if found else f'"{last}" *'])
        if len(found) > _COMPLETIONS:
            self._match = " AND ".join([*rest, f'"{last}" *'])
        self._pieces = [f" {word}" + " " * (len(word) < LONGEST_WORD) for word in whole] + [f" {last}"]
        self._db = db

    @property
    def dear(self) -> bool:
        """Whether the index is slow to say which messages have them."""
        return self._match != self._some or self._many

    @cached_property
    def _many(self) -> bool:
        """A beginning is dear to look for, so it is asked first whether some of its completions are many already."""
        return self._has_many(self._some) or (self._match != self._some and self._has_many(self._match))

    def add_to(self, where: Conditions) -> None:
        """Asks the index: few matches are looked up one by one; of many the newest are found in the order's index."""
        column = "+m.n" if self._many else "m.n"
        where.add(f"{column} IN (SELECT rowid FROM words WHERE words MATCH ?)", self._match)  # noqa: S608 one of two literals

    def newest(self, steps: Sequence[Conditions], limit: int) -> list[Row] | None:
        """A page without the index: the messages under each of these conditions in turn are read, newest first.

        None when so few of them have the words that the index is sooner done. All texts of the index are in `bodies`.
        """
        rows: list[Row] = []
        looked_at, left = 0, _FIRST_LOOKED_AT + _LOOKED_AT_EACH * limit
        for step in steps:
            sql, values = step.statement(_TEXTS)
            for *row, data, dictionary in self._db.execute(f"{sql} {ORDER}", [*values, left - looked_at]):
                if looked_at == _FIRST_LOOKED_AT + _LOOKED_AT_EACH * len(rows):
                    return None
                looked_at += 1
                text = searchable(head_decoder.decode(row[3]), unpack_body(data, dictionary).text)
                if self._are_in(text):
                    rows.append(tuple(row))
                if len(rows) == limit:
                    return rows
        return rows

    def _are_in(self, text: str) -> bool:
        words = f" {' '.join(split_words(text))} "
        return all(piece in words for piece in self._pieces)

    def _has_many(self, match: str) -> bool:
        counting = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        (found,) = self._db.execute(counting, (match, _MANY)).fetchone()
        return bool(found >= _MANY)


def _completions(db: sqlite3.Connection, beginning: str) -> list[str]:
    """The first words of the index that begin so, quoted; more of them than `_COMPLETIONS` are not all."""
    sql = "SELECT term FROM vocabulary WHERE term >= ? AND term < ? LIMIT ?"
    return [f'"{term}"' for (term,) in db.execute(sql, (beginning, beginning + "\U0010ffff", _COMPLETIONS + 1))]
