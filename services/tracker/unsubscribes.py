"""Unsubscribe links: who opens one is told what it is for, who posts to it gets nothing more of its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from morpheus_kit import ids, logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import NotFoundError, UnavailableError
from morpheus_kit.queue.schema import Event
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.unsubscribe import NOBODY, UnsubscribeLink, UnsubscribeLinks
from services.tracker.store.base import RecordStore, StoreDownError
from services.tracker.suppressions import Suppressions
from services.tracker.webhooks.receipts import ReceiptWriter

log = logs.get_logger(__name__)
REASON: Final = "unsubscribe"


class Unsubscribes:
    """What links do."""

    def __init__(
        self,
        links: UnsubscribeLinks,
        store: RecordStore,
        suppressions: Suppressions,
        queues: Sequence[Queue],
        clock: Clock,
    ) -> None:
        """`queues` are all partitions, in order."""
        self._links = links
        self._store = store
        self._suppressions = suppressions
        self._writers = [ReceiptWriter(queue) for queue in queues]
        self._clock = clock

    def read(self, token: str) -> UnsubscribeLink:
        """What a link is for. NotFoundError when it is not ours."""
        try:
            return self._links.read(token)
        except ValueError as exc:
            raise NotFoundError("This is no unsubscribe link of ours.") from exc

    async def apply(self, token: str) -> UnsubscribeLink:
        """Returns when nothing more of the stream goes to the person, durably; any number of times.

        The list comes first: it needs no record of the message. NotFoundError, UnavailableError.
        """
        link = self.read(token)
        place = ids.parse_reference(link.reference)
        if link.recipient != NOBODY:
            try:
                await self._suppress(link, place.message_id)
            except StoreDownError as exc:
                raise UnavailableError("The record store does not answer.", retry_after=5) from exc
        if place.partition < len(self._writers):
            # Like a provider's: of a message whose record is not there yet it waits, of one that is gone it is dropped.
            await self._writers[place.partition].write([Event(link.reference, "unsubscribed", 0, self._clock.now_ms())])
        log.info("recipient_unsubscribed", reference=link.reference, stream=link.stream)
        return link

    async def _suppress(self, link: UnsubscribeLink, message_id: str) -> None:
        """With the address where the record says it. One that was erased meanwhile is forgotten again."""
        address = await self._address(link.company, message_id)
        company, recipient = link.company, link.recipient
        await self._suppressions.add_recipient(company, recipient, address, stream=link.stream, reason=REASON)
        if address and not await self._address(company, message_id):
            await self._store.forget_address(company, recipient)

    async def _address(self, company: str, message_id: str) -> str | None:
        found = await self._store.message(company, message_id)
        return (found.head.address or None) if found else None
