"""Answers to the questions of the service: records and ledgers, each company its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

from morpheus_kit.clock import Clock
from morpheus_kit.errors import NotFoundError, UnavailableError
from services.tracker.documents import Document
from services.tracker.groups import GroupView, is_over, view_group
from services.tracker.ledger import Ledger, Ledgers
from services.tracker.paging import PageTokens
from services.tracker.store.base import (
    EVERYONE,
    GroupFilter,
    GroupRow,
    MessageFilter,
    Position,
    RecordStore,
    StoreDownError,
)

_EXPORT_PAGE = 500


class Queries:
    """Reads; nothing here writes."""

    def __init__(
        self,
        store: RecordStore,
        ledgers: Ledgers,
        tokens: PageTokens,
        clock: Clock,
        recorded_ms: Callable[[str], int],
    ) -> None:
        """`recorded_ms(company)` is the time up to which the records are complete."""
        self._store = store
        self._ledgers = ledgers
        self._tokens = tokens
        self._clock = clock
        self._recorded_ms = recorded_ms

    async def group(self, company: str, group_id: str) -> GroupView:
        """One group. NotFoundError."""
        as_of = self._recorded_ms(company)
        row = await self._group_row(company, group_id)
        owner = row.shared.company_code if row is not None else company
        ledger = await self._ledger(owner, group_id, row)
        view = view_group(row, ledger, as_of, self._clock.now_ms())
        if view is None:
            raise NotFoundError("There is no such group.")
        return view

    async def groups(self, company: str, wanted: GroupFilter, page: tuple[int, str]) -> tuple[list[GroupView], str]:
        """One page, newest first, and the token of the next one. `page` is size and token."""
        size, token = page
        question = ("groups", company, _plain(wanted))
        after = self._tokens.read(question, token)
        as_of = self._recorded_ms(company)
        try:
            rows = await self._store.groups(company, wanted, after, size + 1)
        except StoreDownError as exc:
            raise _down() from exc
        shown = rows[:size]
        ledgers = await self._open_ledgers(shown)
        now = self._clock.now_ms()
        views = [view_group(row, ledger, as_of, now) for row, ledger in zip(shown, ledgers, strict=True)]
        following = ""
        if len(rows) > size:
            last = shown[-1]
            following = self._tokens.make(question, Position(last.accepted_ms, last.uuid))
        return [view for view in views if view is not None], following

    async def messages(self, company: str, wanted: MessageFilter, page: tuple[int, str]) -> tuple[list[Document], str]:
        """One page without bodies, newest first, and the token of the next one."""
        size, token = page
        question = ("messages", company, _plain(wanted))
        after = self._tokens.read(question, token)
        try:
            found = await self._store.messages(company, wanted, after, size + 1)
        except StoreDownError as exc:
            raise _down() from exc
        shown = found[:size]
        following = ""
        if len(found) > size:
            following = self._tokens.make(question, Position(shown[-1].head.accepted_at_ms, shown[-1].place))
        return shown, following

    async def every_message(self, company: str, wanted: MessageFilter) -> AsyncIterator[list[Document]]:
        """All pages of the list, one at a time: none is read before the last one was taken."""
        after: Position | None = None
        while True:
            try:
                found = await self._store.messages(company, wanted, after, _EXPORT_PAGE)
            except StoreDownError as exc:
                raise _down() from exc
            if found:
                yield found
            if len(found) < _EXPORT_PAGE:
                return
            after = Position(found[-1].head.accepted_at_ms, found[-1].place)

    async def message(self, company: str, message_id: str) -> Document:
        """One message with its body. NotFoundError, also when it is another company's."""
        try:
            canonical = str(UUID(message_id))
        except ValueError as exc:
            raise NotFoundError("There is no such message.") from exc
        try:
            found = await self._store.message(company, canonical)
        except StoreDownError as exc:
            raise _down() from exc
        if found is None:
            raise NotFoundError("There is no such message.")
        return found

    async def _group_row(self, company: str, group_id: str) -> GroupRow | None:
        try:
            return await self._store.group(company, group_id)
        except StoreDownError as exc:
            raise _down() from exc

    async def _ledger(self, owner: str, group_id: str, row: GroupRow | None) -> Ledger | None:
        """None where the queue knows nothing of it, or is away while the records say all that counts."""
        if owner == EVERYONE:
            return None
        try:
            return await self._ledgers.read(owner, group_id)
        except UnavailableError:
            if row is not None and is_over(row):
                return None
            raise

    async def _open_ledgers(self, rows: Sequence[GroupRow]) -> list[Ledger | None]:
        """Ledgers of those that are not over; the records say all about the others."""
        names = [(row.shared.company_code, row.shared.group_id) for row in rows if not is_over(row)]
        found = iter(await self._ledgers.read_many(names))
        return [None if is_over(row) else next(found) for row in rows]


def _plain(wanted: GroupFilter | MessageFilter) -> list[object]:
    return [getattr(wanted, name) for name in wanted.__slots__]


def _down() -> UnavailableError:
    return UnavailableError("The record store does not answer.", retry_after=1)
