"""Method `test`: writes each message to the outbox, plays the simulator addresses, calls nobody.

Every call is a line of `calls.jsonl`, written before the call is answered, so that a doubled send is visible.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.queue.schema import Event
from services.dispatcher.providers import simulator
from services.dispatcher.providers.base import Form, Outgoing, ProviderReceipt
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.verdicts import Answer, Verdict

log = logs.get_logger(__name__)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class TestProvider:
    """The provider of method `test`."""

    __test__ = False  # not a test, whatever pytest thinks of the name
    name = "test"
    form: Form = "mime"
    takes_key = False
    concurrency = sys.maxsize

    def __init__(self, outbox: str, receipts: ReceiptRunner, clock: Clock, time_scale: float) -> None:
        """`outbox`: a folder, made when missing; empty: nothing is written. `time_scale` of all simulated waits."""
        self._outbox = Path(outbox) if outbox else None
        self._receipts = receipts
        self._clock = clock
        self._time_scale = time_scale

    async def start(self) -> None:
        """Makes the folder."""
        if self._outbox is not None:
            self._outbox.mkdir(parents=True, exist_ok=True)

    async def stop(self) -> None:
        """Nothing is open between calls."""

    async def send(self, batch: Sequence[Outgoing]) -> list[Verdict]:
        """Writes the batch in one go, then answers what the addresses play."""
        plays = [simulator.play(message.address, message.attempt) for message in batch]
        now_ms = self._clock.now_ms()
        if self._outbox is not None:
            async with asyncio.timeout(60):
                failure = await asyncio.to_thread(_write, self._outbox, batch, plays, now_ms)
            if failure is not None:
                log.warning("outbox_write_failed", error=failure.text, messages=len(batch))
                return [failure] * len(batch)
        early: list[ProviderReceipt] = []
        for message, each in zip(batch, plays, strict=True):
            for event in each.events:
                receipt = _receipt(message, event, now_ms + round(event.after * self._time_scale * 1000))
                if each.early:
                    early.append(receipt)
                else:
                    self._receipts.schedule(receipt, event.after * self._time_scale, event.times)
        if early:
            await self._receipts.deliver(early)
        return [each.verdict for each in plays]


def _receipt(message: Outgoing, event: simulator.SimulatedEvent, time_ms: int) -> ProviderReceipt:
    told = Event(
        message.reference,
        event.type,
        message.attempt,
        time_ms,
        "test",
        event.reason_code,
        event.reason_text,
        provider="test",
        external_id=message.message_id,
    )
    return ProviderReceipt(message.partition, message.message_id, told)


def _write(outbox: Path, batch: Sequence[Outgoing], plays: Sequence[simulator.Play], now_ms: int) -> Verdict | None:
    """Calls first: a file without its call would hide a second one. None when all is written."""
    seconds = f"{now_ms / 1000:.3f}"
    lines = [f'{{"id":"{message.message_id}","attempt":{message.attempt},"time":{seconds}}}\n' for message in batch]
    try:
        _put(f"{outbox}/calls.jsonl", "".join(lines).encode(), _APPEND)
    except OSError as exc:
        return Verdict(Answer.RETRY, f"outbox: {exc.strerror}")
    try:
        for message, each in zip(batch, plays, strict=True):
            if each.taken:
                suffix = "eml" if "@" in message.address else "txt"
                _put(f"{outbox}/{message.message_id}.{suffix}", message.payload, _NEW_FILE)
    except OSError as exc:
        return Verdict(Answer.UNCLEAR, f"outbox: {exc.strerror}")
    return None


def _put(path: str, content: bytes, flags: int) -> None:
    descriptor = os.open(path, flags, 0o644)
    try:
        while content:
            written = os.write(descriptor, content)
            content = content[written:]
    finally:
        os.close(descriptor)
