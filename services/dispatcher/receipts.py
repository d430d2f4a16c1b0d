"""Runs the receipts of providers that tell them in this process: after their time, many in one script."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.runner import MAX_ITEMS
from morpheus_kit.queue.schema import pack
from morpheus_kit.queue.scripts import Queue, Receipt
from services.dispatcher.providers.base import ProviderReceipt

log = logs.get_logger(__name__)
# Receipts of one moment are told together: a script and an fsync for each would be dear.
_GATHER_SECONDS = 0.02
_IDLE_SECONDS = 0.05
_PAUSE_SECONDS = 0.5


class ReceiptRunner:
    """Receipts by due time. What is left when the service stops is told at once, if the queue answers."""

    def __init__(self, queues: Mapping[int, Queue], clock: Clock) -> None:
        """`queues` by partition."""
        self._queues = queues
        self._clock = clock
        self._due: list[tuple[float, int, ProviderReceipt]] = []
        self._order = count()
        self._stopping = False

    def schedule(self, receipt: ProviderReceipt, after_seconds: float, times: int = 1) -> None:
        """Tells `receipt` later, `times` times."""
        due = self._clock.monotonic() + after_seconds
        for _ in range(times):
            heapq.heappush(self._due, (due, next(self._order), receipt))

    async def deliver(self, receipts: Sequence[ProviderReceipt]) -> None:
        """Tells them now and returns when they are durable; asks again while the queue does not answer."""
        by_partition: dict[int, list[ProviderReceipt]] = defaultdict(list)
        for receipt in receipts:
            by_partition[receipt.partition].append(receipt)
        for partition, wanted in by_partition.items():
            for start in range(0, len(wanted), MAX_ITEMS):
                await self._tell(self._queues[partition], wanted[start : start + MAX_ITEMS])

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, and then all that is left."""
        while not stopping.is_set():
            await self.deliver(self._pop(self._clock.monotonic()))
            await pause(stopping, self._until_next())
        self._stopping = True
        await self.deliver(self._pop(float("inf")))

    def _until_next(self) -> float:
        if not self._due:
            return _IDLE_SECONDS
        return min(max(self._due[0][0] - self._clock.monotonic(), _GATHER_SECONDS), _IDLE_SECONDS)

    def _pop(self, until: float) -> list[ProviderReceipt]:
        popped: list[ProviderReceipt] = []
        while self._due and self._due[0][0] <= until:
            popped.append(heapq.heappop(self._due)[2])
        return popped

    async def _tell(self, queue: Queue, receipts: Sequence[ProviderReceipt]) -> None:
        items = [Receipt(each.event.reference, each.message_id, pack(each.event)) for each in receipts]
        while True:
            try:
                await queue.receipt(items)
            except UnavailableError as exc:
                log.warning("receipts_wait", error=exc.message, receipts=len(items))
                if self._stopping:
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
