"""Writes what providers tell into the queue, durably: requests that come at the same time share one script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from morpheus_kit import logs
from morpheus_kit.errors import MorpheusError, UnavailableError
from morpheus_kit.queue.runner import MAX_ITEMS, RECEIPT_MEMORY
from morpheus_kit.queue.schema import Event, pack
from morpheus_kit.queue.scripts import Queue, Receipt

log = logs.get_logger(__name__)
_UUID_CHARS = 36


class _Call:
    """One request's receipts on their way."""

    __slots__ = ("error", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.error: MorpheusError | None = None


class ReceiptWriter:
    """The receipts of one partition. A disk's write is dear, so whatever waits for one goes with it."""

    def __init__(self, queue: Queue) -> None:
        """`queue` is the partition."""
        self._queue = queue
        self._waiting: list[tuple[Receipt, _Call]] = []
        self._busy = asyncio.Lock()

    async def write(self, events: Sequence[Event]) -> None:
        """Returns when all are durable. UnavailableError when they are not; the same may be written again."""
        call = _Call(len(events))
        self._waiting += [(_receipt(event), call) for event in events]
        async with self._busy:
            # Whoever has the lock writes what waits, in its order, until its own is written.
            while call.left:
                taken, self._waiting = self._waiting[:MAX_ITEMS], self._waiting[MAX_ITEMS:]
                await self._write(taken)
        if call.error is not None:
            raise call.error

    async def _write(self, taken: Sequence[tuple[Receipt, _Call]]) -> None:
        error: MorpheusError | None = UnavailableError("The receipts were not written.", retry_after=1)
        try:
            await self._queue.check_memory(RECEIPT_MEMORY)
            settled = await self._queue.receipt([receipt for receipt, _ in taken])
            error = None
            if settled:
                log.info("receipts_settled", messages=settled)
        except MorpheusError as exc:
            error = exc
        finally:
            for _, call in taken:
                call.left -= 1
                call.error = call.error or error


def _receipt(event: Event) -> Receipt:
    return Receipt(event.reference, event.reference[-_UUID_CHARS:], pack(event))
