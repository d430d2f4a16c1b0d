"""Suppressed addresses at the gate, each script called twice with one effect."""

from __future__ import annotations

import pytest

from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.scripts import SuppressItem
from tests.integration.queue.rig import Rig


async def suppress(rig: Rig, *items: SuppressItem, company: str = "acme") -> None:
    for _ in range(2):
        await rig.queue.suppress(company, items)


async def test_the_gate_ends_what_is_suppressed_and_says_why(rig: Rig) -> None:
    await rig.post_and_start()
    await suppress(
        rig, SuppressItem("", b"acme.g-0-0", "bounce"), SuppressItem("transactional", b"acme.g-0-1", "unsubscribe")
    )
    items = (await rig.take()).items
    assert await rig.gate(items) == ["done", "done", "go"]
    assert await rig.gate(items) == ["lost", "lost", "go"]
    assert await rig.ledger() == (0, 1, 0, 2)
    (outcome,) = [each for each in await rig.outcomes() if each.events]
    assert [(event.type, event.reason_code) for event in outcome.events] == [
        ("rejected", "suppressed_bounce"),
        ("rejected", "suppressed_unsubscribe"),
    ]
    assert all(event.reason_text.startswith("The address is suppressed") for event in outcome.events)
    assert len(outcome.messages) == 2


async def test_another_stream_and_another_company_are_not_concerned(rig: Rig) -> None:
    await rig.post_and_start("acme/mail")
    await rig.post_and_start("acme/news", stream="newsletter")
    names = [f"acme.{group}-0-{index}".encode() for group in ("mail", "news") for index in (0, 1)]
    await suppress(rig, *[SuppressItem("newsletter", name, "manual") for name in names])
    await suppress(rig, SuppressItem("", b"acme.news-0-2", "bounce"), company="beta")
    items = (await rig.take()).items
    assert await rig.gate(items[:3]) == ["go"] * 3
    assert await rig.gate(items[3:]) == ["done", "done", "go"]


async def test_what_is_taken_off_may_go_again(rig: Rig) -> None:
    await rig.post_and_start()
    await suppress(rig, SuppressItem("", b"acme.g-0-0", "manual"))
    assert await rig.queue.suppression_lists() == [("acme", "")]
    assert await rig.queue.suppressed("acme", "", 0) == (0, [b"acme.g-0-0"])
    await suppress(rig, SuppressItem("", b"acme.g-0-0", ""))
    assert await rig.queue.suppression_lists() == []
    assert await rig.gate((await rig.take()).items) == ["go"] * 3


async def test_the_gate_is_closed_while_the_lists_are_not_there(rig: Rig) -> None:
    await rig.post_and_start()
    items = (await rig.take()).items
    await rig.redis.delete(rig.queue.keys.suppressed)
    assert not await rig.queue.knows_suppressions()
    with pytest.raises(UnavailableError, match="suppressed"):
        await rig.gate(items)
    assert await rig.ledger() == (3, 0, 0, 0)
    for _ in range(2):
        await rig.queue.suppressions_known()
    assert await rig.gate(items) == ["go"] * 3
