"""STOP and START: who has texted this number from this sender, and what that means for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from morpheus_kit import logs
from morpheus_kit.addresses import normalise_address
from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.schema import Event
from services.tracker.documents import Document
from services.tracker.store.base import EVERYONE, MessageFilter, Position, RecordStore, StoreDownError
from services.tracker.suppressions import Suppressions
from services.tracker.webhooks.base import Reply

log = logs.get_logger(__name__)
DAYS: Final = 90
REASON: Final = "unsubscribe"
_DAY_MS: Final = 86_400_000
_PAGE: Final = 200
_MOST: Final = 10_000
"""Messages to one number that are looked through, the newest first."""


class OptOuts:
    """What people's replies change."""

    def __init__(self, store: RecordStore, suppressions: Suppressions) -> None:
        """The records say who has texted whom."""
        self._store = store
        self._suppressions = suppressions

    async def apply(self, replies: Sequence[Reply]) -> list[Event]:
        """Suppresses or lifts, durably; the event of each company's latest text. UnavailableError."""
        events: list[Event] = []
        try:
            for reply in replies:
                events += await self._apply(reply)
        except StoreDownError as exc:
            raise UnavailableError("The record store does not answer.", retry_after=5) from exc
        return events

    async def _apply(self, reply: Reply) -> list[Event]:
        latest = await self._latest(reply)
        log.info("reply_applied", provider=reply.provider, word=reply.word, companies=len(latest))
        for company, document in latest.items():
            address = document.head.address
            if reply.word == "start":
                await self._suppressions.remove(company, address)
            else:
                await self._suppressions.add(company, address, reason=REASON)
        return [_event(reply, document) for document in latest.values()] if reply.word == "stop" else []

    async def _latest(self, reply: Reply) -> dict[str, Document]:
        """By company, the latest message to this number from this sender: of the last days, to lift it of all."""
        sender = normalise_address(reply.sender)
        since = reply.time_ms - DAYS * _DAY_MS if reply.word == "stop" else None
        wanted = MessageFilter(address=reply.number, from_ms=since)
        found: dict[str, Document] = {}
        after, seen = None, 0
        while seen < _MOST:
            page = await self._store.messages(EVERYONE, wanted, after, _PAGE)
            for document in page:
                if normalise_address(document.shared.from_address) == sender:
                    found.setdefault(document.shared.company_code, document)
            seen += len(page)
            if len(page) < _PAGE:
                break
            after = Position(page[-1].head.accepted_at_ms, page[-1].place)
        return found


def _event(reply: Reply, document: Document) -> Event:
    return Event(
        f"{document.shared.reference_prefix}-{document.id}",
        "unsubscribed",
        0,
        reply.time_ms,
        reply.provider,
        discriminator=reply.discriminator,
        provider=reply.provider,
        undated=reply.undated,
    )
