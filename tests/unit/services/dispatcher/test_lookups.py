"""Looking up uncertain messages."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from morpheus_kit.clock import SystemClock
from services.dispatcher.lookups import LookUps
from services.dispatcher.providers.base import Outgoing, ProviderReceipt
from services.dispatcher.verdicts import Answer, Verdict


class Provider:
    name = "mandrill"

    def __init__(self, *answers: Verdict | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def look_up(self, message: Outgoing) -> Verdict | None:
        self.asked.append(message.message_id)
        assert message.payload == b""
        return self.answers.pop(0) if self.answers else None


class Receipts:
    def __init__(self) -> None:
        self.told: list[ProviderReceipt] = []

    async def deliver(self, receipts: list[ProviderReceipt]) -> None:
        self.told += receipts


def outgoing(number: int = 0) -> Outgoing:
    return Outgoing(f"id{number}", 2, f"ref{number}", 0, "p@example.org", "s@acme.example", b"payload")


async def run(provider: Provider, *messages: Outgoing, seconds: float = 0.9) -> list[ProviderReceipt]:
    receipts, stopping = Receipts(), asyncio.Event()
    look_ups = LookUps(provider, cast("Any", receipts), SystemClock(), gap_seconds=0.01)
    look_ups.note(messages, 0.5)
    async with asyncio.TaskGroup() as group:
        group.create_task(look_ups.run(stopping))
        await asyncio.sleep(seconds)
        stopping.set()
    return receipts.told


async def test_what_is_found_is_told_once() -> None:
    provider = Provider(None, Verdict(Answer.ACCEPTED, external_id="abc"))
    (told,) = await run(provider, outgoing())
    assert provider.asked == ["id0", "id0"]
    event = told.event
    assert (event.type, event.source, event.external_id, event.attempt) == ("sent", "mandrill", "abc", 2)


async def test_what_was_refused_is_told_as_that() -> None:
    (told,) = await run(Provider(Verdict(Answer.REFUSED, "mandrill: found as rejected")), outgoing())
    assert (told.event.type, told.event.reason_code) == ("refused", "provider_refused")


async def test_what_is_not_found_is_asked_for_three_times_and_left() -> None:
    provider = Provider()
    assert await run(provider, outgoing(0), outgoing(1)) == []
    assert sorted(provider.asked) == ["id0"] * 3 + ["id1"] * 3
