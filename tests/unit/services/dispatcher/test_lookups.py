"""Looking up uncertain messages: when, and what is told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from morpheus_kit.clock import ManualClock
from morpheus_kit.queue import schema
from morpheus_kit.queue.elements import Element
from morpheus_kit.queue.pacing import Tokens
from morpheus_kit.queue.scripts import InDoubt
from services.dispatcher.lookups import LookUps, next_ask_ms
from services.dispatcher.providers.base import Outgoing, ProviderReceipt
from services.dispatcher.verdicts import Answer, Verdict

NOW = 1_780_000_000_000
WAIT = 900_000


class Provider:
    name = "mandrill"

    def __init__(self, answer: Verdict | None) -> None:
        self.answer = answer
        self.asked: list[Outgoing] = []

    async def look_up(self, message: Outgoing) -> Verdict | None:
        self.asked.append(message)
        return self.answer


class Queue:
    keys = SimpleNamespace(partition=3)

    def __init__(self, *doubts: InDoubt) -> None:
        self.doubts = list(doubts)
        self.again: list[tuple[str, int]] = []

    async def look_up(self, provider: str, lease_ms: int) -> InDoubt | None:
        return self.doubts.pop(0) if self.doubts else None

    async def looked_up(self, provider: str, message_id: str, next_ms: int) -> None:
        self.again.append((message_id, next_ms))


class Receipts:
    def __init__(self) -> None:
        self.told: list[ProviderReceipt] = []

    async def deliver(self, receipts: list[ProviderReceipt]) -> None:
        self.told += receipts


class Pace:
    def __init__(self) -> None:
        self.refusals = 2

    async def ask(self, asker: str, wanted: int) -> Tokens:
        self.refusals -= 1
        return Tokens(int(self.refusals < 0), 1, watched=False)


def doubt(address: str = "p@exämple.org", blob: bytes | None = None) -> InDoubt:
    packed = schema.pack(schema.QueuedMessage(schema.VERSION, "id0", 0, 0, NOW, address, ""))
    return InDoubt("ref-id0", Element(2, 0, "id0", blob or packed, "mandrill"), NOW + WAIT * 9 // 10)


async def run(provider: Provider, *doubts: InDoubt) -> tuple[Queue, Receipts, bool]:
    queue, receipts = Queue(*doubts), Receipts()
    made: Any = (provider, Pace(), [queue], receipts, ManualClock(NOW), WAIT / 1000)
    worked = await LookUps(*made).turn(asyncio.Event())
    return queue, receipts, worked


@pytest.mark.parametrize(
    ("passed", "asked_at"), [(0, 90), (89, 90), (90, 360), (400, 720), (719, 720), (720, 0), (900, 0)]
)
def test_it_is_asked_after_a_tenth_four_and_eight_tenths(passed: int, asked_at: int) -> None:
    found = next_ask_ms(NOW + passed * 1000, NOW + WAIT, WAIT)
    assert found == (NOW + asked_at * 1000 if asked_at else 0)


async def test_what_is_found_is_told() -> None:
    provider = Provider(Verdict(Answer.ACCEPTED, external_id="abc"))
    queue, receipts, worked = await run(provider, doubt())
    (asked,), (told,) = provider.asked, receipts.told
    assert (asked.message_id, asked.reference, asked.address) == ("id0", "ref-id0", "p@xn--exmple-cua.org")
    assert (told.partition, told.message_id, queue.again, worked) == (3, "id0", [], True)
    event = told.event
    assert (event.type, event.source, event.external_id, event.attempt) == ("sent", "mandrill", "abc", 2)


async def test_what_was_refused_is_told_as_that() -> None:
    _, receipts, _ = await run(Provider(Verdict(Answer.REFUSED, "mandrill: found as rejected")), doubt())
    (told,) = receipts.told
    assert (told.event.type, told.event.reason_code) == ("refused", "provider_refused")


async def test_what_is_not_found_is_asked_for_again() -> None:
    queue, receipts, _ = await run(Provider(None), doubt())
    assert receipts.told == []
    assert queue.again == [("id0", NOW - WAIT // 10 + WAIT * 4 // 10)]


async def test_what_cannot_be_read_is_left_to_its_policy() -> None:
    queue, receipts, worked = await run(Provider(None), doubt(blob=b"\xc1"))
    assert (queue.again, receipts.told, worked) == ([("id0", 0)], [], True)


async def test_where_nothing_is_in_doubt_nobody_is_asked() -> None:
    provider = Provider(None)
    assert (await run(provider))[2] is False
    assert provider.asked == []
