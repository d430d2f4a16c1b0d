"""The one place where the questions of the SQLite store are kept to a company."""

from __future__ import annotations

import sqlite3
from copy import deepcopy
from typing import Any, Literal, TypeAlias

from services.tracker.store.base import EVERYONE

Table: TypeAlias = Literal["m", "g", "r", "f"]


class Conditions:
    """A WHERE clause that always begins with who asks; every question of this store is made by one.

    Records whose group or company is not known yet are seen by nobody, and messages of erased persons are only counted.
    """

    def __init__(self, table: Table, company: str, *, counting: bool = False) -> None:
        """`table` is the alias that holds the company: `m`essages and `g`roups (joined), `r`ollups, `f`eed."""
        self._parts = ["g.shared IS NOT NULL"] if table in {"m", "g"} else []
        if table == "m" and not counting:
            self._parts.append("m.place IS NOT NULL")
        self._values: list[Any] = []
        if company == EVERYONE:
            self._parts.append(f"{table}.company IS NOT NULL")
        else:
            self.add(f"{table}.company = ?", company)

    def add(self, sql: str, *values: Any) -> None:
        """One more condition that must hold."""
        self._parts.append(sql)
        self._values += values

    def also(self, sql: str, *values: Any) -> Conditions:
        """These conditions and one more, as others."""
        result = deepcopy(self)
        result.add(sql, *values)
        return result

    def among(self, column: str, from_ms: int | None, to_ms: int | None) -> None:
        """A half-open range of time."""
        if from_ms is not None:
            self.add(f"{column} >= ?", from_ms)
        if to_ms is not None:
            self.add(f"{column} < ?", to_ms)

    def statement(self, select: str) -> tuple[str, list[Any]]:
        """`select` under these conditions, as SQL with its values."""
        return f"{select} WHERE {' AND '.join(self._parts)}", list(self._values)

    def fetch(self, db: sqlite3.Connection, select: str, tail: str = "", *values: Any) -> list[tuple[Any, ...]]:
        """Runs `select` under these conditions."""
        sql, own = self.statement(select)
        return db.execute(f"{sql} {tail}", [*own, *values]).fetchall()
