"""How many messages of each hour, method and tag there are, kept by the writer as differences of what it changes.

A message stands in the row of tag '' and in one row for each of its tags. Messages whose group's record has not come
are not counted until it comes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import msgspec

from morpheus_kit.queue.schema import SharedInfo, unpack_shared
from services.tracker.documents import Head
from services.tracker.fold import Folded
from services.tracker.store.reports import HOUR_MS
from services.tracker.store.tallies import tally_of

RollupKey: TypeAlias = tuple[str, str, int, str, str, int, str]
"""Company, tag, hour, method, state, reached milestones, currency."""

_ADD = (
    "INSERT INTO rollups (company, tagged, tag, hour, method, state, reached, currency, messages, cost_micros) "
    "VALUES (?1, ?2 <> '', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE "
    "SET messages = messages + excluded.messages, cost_micros = cost_micros + excluded.cost_micros"
)
_DROP = (
    "DELETE FROM rollups WHERE company = ?1 AND tagged = (?2 <> '') AND hour = ?3 AND tag = ?2 AND method = ?4 "
    "AND state = ?5 AND reached = ?6 AND currency = ?7 AND messages = 0"
)
_head_decoder = msgspec.msgpack.Decoder(Head)


class Counted(NamedTuple):
    """What of a message decides where it is counted."""

    hour: int
    state: str
    reached: int
    """As `Tally` has it."""
    currency: str
    cost_micros: int
    tags: tuple[str, ...]


class GroupFacts(NamedTuple):
    """What a message has from its group; `shared` is None until the group's record comes."""

    company: str
    group_id: str
    shared: SharedInfo | None


def counted(head: Head, folded: Folded) -> Counted:
    """Where a message with this head is counted once it has these events."""
    state, reached, currency = tally_of(folded)
    cost = int(folded.value("cost_micros") or 0) if currency else 0
    return Counted(head.accepted_at_ms // HOUR_MS, state, reached, currency, cost, tuple(head.tags))


def keys_of(company: str, shared: SharedInfo, message: Counted) -> list[RollupKey]:
    """The rows that a message is counted in."""
    rest = (message.hour, shared.method, message.state, message.reached, message.currency)
    return [(company, tag, *rest) for tag in {"", *shared.tags, *message.tags}]


class Rollups:
    """The counts of one connection; changes are gathered and written with the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` has the schema and belongs to this thread."""
        self._db = connection
        self._facts: dict[int, GroupFacts] = {}
        self._changes: dict[RollupKey, list[int]] = {}

    def facts(self, group_n: int) -> GroupFacts:
        """What is known of a group."""
        found = self._facts.get(group_n)
        if found is None:
            sql = "SELECT company, group_id, shared FROM groups WHERE n = ?"
            company, group_id, shared = self._db.execute(sql, (group_n,)).fetchone()
            found = GroupFacts(company, group_id, unpack_shared(shared) if shared is not None else None)
            if len(self._facts) > 10_000:
                self._facts.clear()
            self._facts[group_n] = found
        return found

    def learn(self, group_n: int) -> None:
        """The group's record has come: what is stored of its messages is counted from now on."""
        self._facts.pop(group_n, None)
        for (head,) in self._db.execute("SELECT head FROM messages WHERE group_n = ?", (group_n,)):
            decoded = _head_decoder.decode(head)
            self.move(group_n, None, counted(decoded, decoded.folded))

    def move(self, group_n: int, before: Counted | None, after: Counted | None) -> None:
        """A message is counted at `after` instead of at `before`; None: it was not, or it is no longer."""
        if before == after:
            return
        company, _, shared = self.facts(group_n)
        if shared is None:
            return
        for message, sign in ((before, -1), (after, 1)):
            if message is None:
                continue
            for key in keys_of(company, shared, message):
                change = self._changes.get(key)
                if change is None:
                    change = self._changes[key] = [0, 0]
                change[0] += sign
                change[1] += sign * message.cost_micros

    def flush(self) -> None:
        """Writes what was gathered. Part of the caller's transaction."""
        changes = [(*key, messages, cost) for key, (messages, cost) in self._changes.items() if messages or cost]
        self._db.executemany(_ADD, changes)
        self._db.executemany(_DROP, [change[:7] for change in changes if change[7] < 0])
        self._changes.clear()

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._facts.clear()
        self._changes.clear()


def count_all(connection: sqlite3.Connection) -> None:
    """Counts every message that is stored; for tables of a release without these counts."""
    rollups = Rollups(connection)
    groups: Iterable[tuple[int]] = connection.execute("SELECT n FROM groups WHERE shared IS NOT NULL").fetchall()
    for (group_n,) in groups:
        rollups.learn(group_n)
        rollups.flush()
