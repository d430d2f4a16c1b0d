"""The embedded record store: SQLite with full-text search, one process, one writer thread."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from morpheus_kit.clock import Clock
from morpheus_kit.config import ConfigError
from morpheus_kit.errors import DeadlineError
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.retention import KEPT_A_YEAR, Retention
from services.tracker.documents import Document
from services.tracker.store import sqlite_privacy as privacy
from services.tracker.store import sqlite_queries as queries
from services.tracker.store import sqlite_reports as reports
from services.tracker.store.base import GroupFilter, GroupRow, MessageFilter, Position, StoreDownError, Written
from services.tracker.store.keeping import kept
from services.tracker.store.privacy import Erasure, Suppression, SuppressionKey, SuppressionPlace, Unwanted
from services.tracker.store.reports import CostItem, CostQuery, FeedItem, StatisticsItem, StatisticsQuery
from services.tracker.store.schema import connect_reader, connect_writer, migrate
from services.tracker.store.sqlite_feed import read_changes
from services.tracker.store.sqlite_tidying import Tidying
from services.tracker.store.sqlite_writer import SqliteWriter

T = TypeVar("T")
_READERS = 4
_READ_SECONDS = 10.0
_STEPS = 10_000


class SqliteStore:
    """A record store in one file. It waits for the disk at each commit."""

    exclusive = True
    lag_ms = 0

    def __init__(self, path: Path, clock: Clock, retention: Retention = KEPT_A_YEAR) -> None:
        """`path` is the database; its folder must exist."""
        self._path = path
        self._clock = clock
        self._retention = retention
        self._writing = ThreadPoolExecutor(1, "records-writer")
        self._reading = ThreadPoolExecutor(_READERS, "records-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lease: int | None = None
        self._writer: SqliteWriter | None = None

    async def start(self) -> None:
        """Opens the file. ConfigError when it cannot be, another process has it, or a newer release wrote it."""
        try:
            self._lease = _lease(self._path)
            await asyncio.get_running_loop().run_in_executor(self._writing, self._open)
        except (OSError, sqlite3.Error) as exc:
            raise ConfigError(f"MORPHEUS_RECORDS_URL: {self._path} cannot be opened: {exc}") from exc

    async def stop(self) -> None:
        """Closes the file after the last write."""
        await asyncio.to_thread(self._close)

    async def write(self, outcome: Outcome) -> Written:
        """One transaction. StoreDownError when the file cannot be written now."""
        current = kept(outcome, self._retention, self._clock.now_ms())
        return await self._on_writer(lambda writer: writer.write(current))

    async def drop_over(self, limit: int) -> int:
        """One transaction."""
        return await self._on_writer(lambda writer: writer.drop_over(self._retention, limit))

    async def unwanted(self, references: Sequence[str]) -> list[Unwanted]:
        """Messages after which their recipients must not be written to again."""
        return await self._read(lambda db: privacy.read_unwanted(db, references))

    async def add_suppressions(self, rows: Sequence[Suppression]) -> list[bool]:
        """Which are new."""
        return await self._change(lambda db: privacy.add_suppressions(db, rows))

    async def remove_suppressions(self, company: str, recipient: bytes, stream: str) -> list[str]:
        """The streams from whose lists it was taken."""
        return await self._change(lambda db: privacy.remove_suppressions(db, company, recipient, stream))

    async def suppressions(
        self, company: str, recipient: bytes | None, after: SuppressionPlace | None, limit: int
    ) -> list[Suppression]:
        """One page of suppressions."""
        return await self._read(lambda db: privacy.read_suppressions(db, company, recipient, after, limit))

    async def all_suppressions(self, after: SuppressionKey | None, limit: int) -> list[Suppression]:
        """Some of everybody's suppressions."""
        return await self._read(lambda db: privacy.read_all_suppressions(db, after, limit))

    async def known_suppressions(self, company: str, stream: str, recipients: Sequence[bytes]) -> set[bytes]:
        """Those that are on the list."""
        return await self._read(lambda db: privacy.known_suppressions(db, company, stream, recipients))

    async def add_erasure(self, erasure: Erasure) -> None:
        """Notes that a person was erased."""
        await self._change(lambda db: privacy.add_erasure(db, erasure))

    async def erasures(self, after: Erasure | None, limit: int) -> list[Erasure]:
        """Some of everybody's erasures."""
        return await self._read(lambda db: privacy.read_erasures(db, after, limit))

    async def drop_erasures(self, before_ms: int, limit: int) -> list[Erasure]:
        """Forgets old ones."""
        return await self._change(lambda db: privacy.drop_erasures(db, before_ms, limit))

    async def messages_to(self, company: str, spellings: Sequence[str], limit: int) -> list[str]:
        """References of messages to an address."""
        return await self._read(lambda db: privacy.messages_to(db, company, spellings, limit))

    async def erase(self, company: str, references: Sequence[str]) -> int:
        """One transaction."""
        ids = [reference[-36:] for reference in references]
        return await self._on_writer(lambda writer: writer.erase(company, ids))

    async def erased(self, references: Sequence[str]) -> set[str]:
        """Ids of erased messages."""
        return await self._read(lambda db: privacy.read_erased(db, references))

    async def forget_address(self, company: str, recipient: bytes) -> int:
        """Of its suppressions only the hash is left."""
        return await self._change(lambda db: privacy.forget_address(db, company, recipient))

    async def tidy(self) -> None:
        """See `sqlite_tidying`."""
        tidying = Tidying(self._opened[0])
        while not await self._on_writer(lambda _: tidying.step()):
            pass

    async def group(self, company: str, group_id: str) -> GroupRow | None:
        """One group."""
        now = self._clock.now_ms()
        return await self._read(lambda db: queries.read_group(db, now, company, group_id))

    async def groups(self, company: str, wanted: GroupFilter, after: Position | None, limit: int) -> list[GroupRow]:
        """One page of groups."""
        now = self._clock.now_ms()
        return await self._read(lambda db: queries.read_groups(db, now, company, wanted, (after, limit)))

    async def messages(self, company: str, wanted: MessageFilter, after: Position | None, limit: int) -> list[Document]:
        """One page of messages."""
        return await self._read(lambda db: queries.read_messages(db, company, wanted, after, limit))

    async def message(self, company: str, message_id: str) -> Document | None:
        """One message with its body."""
        return await self._read(lambda db: queries.read_message(db, company, message_id))

    async def statistics(self, company: str, wanted: StatisticsQuery) -> list[StatisticsItem]:
        """By bucket, method, tag."""
        return await self._read(lambda db: reports.read_statistics(db, company, wanted))

    async def costs(self, company: str, wanted: CostQuery) -> list[CostItem]:
        """By key, then currency."""
        return await self._read(lambda db: reports.read_costs(db, company, wanted))

    async def changes(self, company: str, after: str, limit: int) -> list[FeedItem]:
        """One page of the feed."""
        now = self._clock.now_ms()
        return await self._read(lambda db: read_changes(db, now, company, after, limit))

    async def details(self, company: str, message_ids: Sequence[str]) -> list[Document]:
        """Messages with their bodies."""
        return await self._read(lambda db: reports.read_details(db, company, message_ids))

    def _open(self) -> None:
        connection = connect_writer(self._path)
        self._opened.append(connection)
        try:
            migrate(connection)
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc
        self._writer = SqliteWriter(connection, self._clock)

    def _close(self) -> None:
        for pool in (self._reading, self._writing):
            pool.shutdown()
        while self._opened:
            self._opened.pop().close()
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    async def _on_writer(self, change: Callable[[SqliteWriter], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._write, change)

    def _write(self, change: Callable[[SqliteWriter], T]) -> T:
        if self._writer is None:
            raise StoreDownError("The record store is not open.")
        try:
            return change(self._writer)
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
            raise  # it is what was to be written that is wrong
        except sqlite3.Error as exc:
            raise StoreDownError(str(exc)) from exc

    async def _change(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction on the writer's thread, all or nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._transact, change)

    def _transact(self, change: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            raise StoreDownError("The record store is not open.")
        db = self._opened[0]
        try:
            with db:  # commits at its end, rolls back what is broken off
                db.execute("BEGIN IMMEDIATE")
                return change(db)
        except sqlite3.Error as exc:
            raise StoreDownError(str(exc)) from exc

    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._ask, question)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """One snapshot for all statements of a question; one that takes too long is broken off."""
        db = self._connection()
        deadline = time.monotonic() + _READ_SECONDS
        db.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            db.execute("BEGIN")
            try:
                return question(db)
            finally:
                if db.in_transaction:
                    db.execute("COMMIT")
        except sqlite3.Error as exc:
            if time.monotonic() > deadline:
                raise DeadlineError("The question took too long; narrow it down.") from exc
            raise StoreDownError(str(exc)) from exc

    def _connection(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = connect_reader(self._path)
            self._opened.append(db)
        return db


def _lease(path: Path) -> int:
    """Holds the file for this process until it ends, whatever way it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    handle = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(handle)
        raise ConfigError(f"{path}: another process has these records open.") from exc
    os.close(os.open(path, flags, 0o600))  # SQLite itself would let everybody read it
    return handle
