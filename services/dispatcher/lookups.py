"""Looks uncertain messages up at a provider that can be asked; what it finds is told like a receipt.

What is to be asked for lies in the queue, written by the step that made a message uncertain. So any dispatcher asks,
whoever was in doubt, and one that dies while it asks is followed by another. Nothing is lost where nothing is found:
the message stays uncertain until its time, and its policy decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnavailableError
from morpheus_kit.ids import consumer_name
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.pacing import Pace
from morpheus_kit.queue.schema import Event, NewerVersionError, unpack_message
from morpheus_kit.queue.scripts import InDoubt, Queue
from morpheus_kit.reasons import ReasonCode
from services.dispatcher import headers
from services.dispatcher.providers.base import CanLookUp, Outgoing, ProviderReceipt
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.verdicts import Answer, Verdict

log = logs.get_logger(__name__)
# Mandrill answers 20 searches a minute.
LOOK_UPS_PER_SECOND = 1 / 3
# Parts of the time until the policy decides: a search lags behind sending, so it is asked more than once.
_PARTS = (0.1, 0.4, 0.8)
_LEASE_MS = 30_000
_IDLE_SECONDS = 0.5
_ERROR_SECONDS = 1.0


def next_ask_ms(now_ms: int, due_ms: int, wait_ms: int) -> int:
    """When to ask next for what is uncertain for `wait_ms` until `due_ms`, all milliseconds; 0: no more."""
    begun_ms = due_ms - wait_ms
    times = (begun_ms + round(part * wait_ms) for part in _PARTS)
    return next((each for each in times if each > now_ms), 0)


class LookUps:
    """The uncertain messages of one provider."""

    def __init__(
        self,
        provider: CanLookUp,
        pace: Pace,
        queues: Sequence[Queue],
        receipts: ReceiptRunner,
        clock: Clock,
        uncertain_after: float,
    ) -> None:
        """`pace` of questions, shared with other dispatchers; `uncertain_after`: seconds until the policy decides."""
        self._provider = provider
        self._pace = pace
        self._queues = queues
        self._receipts = receipts
        self._clock = clock
        self._wait_ms = round(uncertain_after * 1000)
        self._asker = consumer_name()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. What is under way then is asked for by another after its lease."""
        while not stopping.is_set():
            try:
                worked = await self.turn(stopping)
            except UnavailableError as exc:
                log.warning("look_ups_wait", error=exc.message)
                await pause(stopping, _ERROR_SECONDS)
                continue
            if not worked:
                await pause(stopping, _IDLE_SECONDS)

    async def turn(self, stopping: asyncio.Event) -> bool:
        """At most one question for each partition; whether there was any. UnavailableError."""
        worked = False
        for queue in self._queues:
            found = None if stopping.is_set() else await queue.look_up(self._provider.name, _LEASE_MS)
            if found is not None:
                worked = True
                await self._settle(queue, found, stopping)
        return worked

    async def _settle(self, queue: Queue, doubt: InDoubt, stopping: asyncio.Event) -> None:
        message_id = doubt.element.message_id
        try:
            message = _asked_for(queue, doubt)
        except NewerVersionError:
            return  # a newer release asks
        except ValueError:
            log.warning("not_looked_up", message_id=message_id)
            await queue.looked_up(self._provider.name, message_id, 0)
            return
        while not (tokens := await self._pace.ask(self._asker, 1)).given:
            await pause(stopping, tokens.wait_ms / 1000)
            if stopping.is_set():
                return
        found = await self._provider.look_up(message)
        log.info("looked_up", message_id=message_id, found=found.answer if found else None)
        if found is None:
            again = next_ask_ms(self._clock.now_ms(), doubt.due_ms, self._wait_ms)
            await queue.looked_up(self._provider.name, message_id, again)
        else:
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


def _asked_for(queue: Queue, doubt: InDoubt) -> Outgoing:
    """As much of the message as is needed to ask for it. ValueError when its blob cannot be read."""
    element = doubt.element
    address = unpack_message(element.blob).address
    try:
        address = headers.address_on_the_wire(address) if "@" in address else address
    except headers.AddressError as exc:
        raise ValueError("the address cannot be written") from exc
    partition = queue.keys.partition
    return Outgoing(element.message_id, element.attempt, doubt.reference, partition, address, "", b"")
