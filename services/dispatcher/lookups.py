"""Looks uncertain messages up at a provider that can be asked; what it finds is told like a receipt.

Nothing is lost when this is: a message that nobody finds stays uncertain until its time, and its policy decides.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Protocol, runtime_checkable

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.queue.schema import Event
from morpheus_kit.reasons import ReasonCode
from services.dispatcher.pauses import pause
from services.dispatcher.providers.base import Outgoing, ProviderReceipt
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.verdicts import Answer, Verdict

log = logs.get_logger(__name__)
# Parts of the time until the policy decides: a search lags behind sending, so it is asked more than once.
_PARTS = (0.1, 0.4, 0.8)
# Mandrill answers 20 searches a minute.
_GAP_SECONDS = 3.0
_IDLE_SECONDS = 0.2
_MOST = 1000


@runtime_checkable
class CanLookUp(Protocol):
    """A provider that can be asked for a message."""

    name: str

    async def look_up(self, message: Outgoing) -> Verdict | None:
        """What became of it; None: nothing is known."""
        ...


class LookUps:
    """The uncertain messages of one provider, by the time of the next question."""

    def __init__(
        self, provider: CanLookUp, receipts: ReceiptRunner, clock: Clock, *, gap_seconds: float = _GAP_SECONDS
    ) -> None:
        self._provider = provider
        self._receipts = receipts
        self._clock = clock
        self._gap = gap_seconds
        self._due: list[tuple[float, int, Outgoing]] = []
        self._order = count()
        self._settled: set[str] = set()

    def note(self, messages: Sequence[Outgoing], uncertain_after: float) -> None:
        """They are uncertain for `uncertain_after` seconds. Of too many, the later ones are not asked for."""
        now = self._clock.monotonic()
        for message in messages:
            self._settled.discard(message.message_id)
            for part in _PARTS if len(self._due) < _MOST else ():
                due = now + part * uncertain_after
                heapq.heappush(self._due, (due, next(self._order), replace(message, payload=b"")))

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set():
            if not self._due or self._due[0][0] > self._clock.monotonic():
                await pause(stopping, _IDLE_SECONDS)
                continue
            message = heapq.heappop(self._due)[2]
            if message.message_id in self._settled:
                continue
            await self._ask(message)
            await pause(stopping, self._gap)

    async def _ask(self, message: Outgoing) -> None:
        found = await self._provider.look_up(message)
        log.info("looked_up", message_id=message.message_id, found=found.answer if found else None)
        if found is None:
            return
        if len(self._settled) >= _MOST:
            self._settled.clear()
        self._settled.add(message.message_id)
        await self._receipts.deliver([self._receipt(message, found)])

    def _receipt(self, message: Outgoing, found: Verdict) -> ProviderReceipt:
        refused = found.answer is Answer.REFUSED
        event = Event(
            message.reference,
            "refused" if refused else "sent",
            message.attempt,
            self._clock.now_ms(),
            self._provider.name,
            ReasonCode.PROVIDER_REFUSED if refused else "",
            found.text if refused else "",
            "look_up",
            self._provider.name,
            found.external_id,
        )
        return ProviderReceipt(message.partition, message.message_id, event)
