"""What the queue does for an erased person, each script called twice with one effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.scripts import Waiting
from tests.integration.queue.rig import Rig, now_ms

T = TypeVar("T")


async def all_of(pages: AsyncIterator[list[T]]) -> list[T]:
    return [each async for page in pages for each in page]


async def erase(rig: Rig, found: list[Waiting]) -> list[int]:
    return [await rig.queue.erase_waiting(found) for _ in range(2)]


async def test_the_gate_ends_what_was_accepted_before_and_lets_later_messages_go(rig: Rig) -> None:
    await rig.post_and_start("acme/old")
    await rig.post_and_start("beta/old")
    names = [f"{company}.{group}-0-0".encode() for company in ("acme", "beta") for group in ("old", "new")]
    for _ in range(2):
        await rig.queue.mark_erased("acme", [(name, now_ms()) for name in names])
    await rig.queue.mark_erased("acme", [(names[0], 5)])
    items = (await rig.take()).items
    answers = {item.element.message_id: answer for item in items for answer in await rig.gate([item])}
    assert answers.pop("acme.old-0-0") == "done"
    assert set(answers.values()) == {"go"}
    assert await rig.ledger("acme/old") == (0, 2, 0, 1)
    assert [(kind, code) for kind, code, _ in await _events(rig)] == [("cancelled", "recipient_erased")]
    await rig.queue.forget_erased("acme", names)
    assert not await rig.queue.has_erased("acme")
    await rig.queue.mark_erased("acme", [(b"acme.new-0-0", now_ms() - 60_000)])
    await rig.post_and_start("acme/new", count=1)
    assert await rig.gate((await rig.take()).items) == ["go"]


@pytest.mark.parametrize("paused", [False, True])
async def test_what_waits_is_taken_out_of_its_part(rig: Rig, paused: bool) -> None:
    await rig.post_and_start(count=1200)
    await rig.post_and_start("acme2/g", count=1)
    if paused:
        await rig.queue.pause("acme/g", "key")
    found = await all_of(rig.queue.waiting("acme"))
    assert len({each.element.message_id for each in found}) == 1200
    assert {each.part for each in found} == {"acme/g/0"}
    wanted = [each for each in found if each.element.message_id in {"acme.g-0-0", "acme.g-0-600", "acme.g-0-1199"}]
    assert await erase(rig, wanted) == [3, 0]
    assert await rig.ledger() == (1197, 0, 0, 3)
    assert len(await all_of(rig.queue.waiting("acme"))) == 1197
    (outcome,) = [each for each in await rig.outcomes() if each.events]
    assert [event.type for event in outcome.events] == ["cancelled"] * 3
    assert len(outcome.messages) == 3


async def test_the_last_that_waits_drains_its_group(rig: Rig) -> None:
    await rig.post_and_start(count=2)
    assert await erase(rig, await all_of(rig.queue.waiting("acme"))) == [2, 0]
    assert await rig.ledger() == (0, 0, 0, 2)
    assert (await rig.take()).items == []
    assert await rig.redis.ttl(rig.queue.keys.group("acme/g")) > 0


async def test_what_is_taken_while_one_looks_hides_nothing(rig: Rig) -> None:
    await rig.post_and_start(count=1500)
    seen: set[str] = set()
    async for page in rig.queue.waiting("acme"):
        seen |= {each.element.message_id for each in page}
        await rig.take(100)
    left = {each.element.message_id for each in await all_of(rig.queue.waiting("acme"))}
    assert left
    assert left <= seen


async def test_retries_are_ended_and_doubt_is_given_up(rig: Rig) -> None:
    await rig.post_and_start(count=4)
    items = (await rig.take()).items
    assert await rig.gate(items) == ["go"] * 4
    later = now_ms() + 60_000
    await rig.commit_sends(items[:2], "retry", due_ms=later)
    await rig.commit_sends(items[2:], "uncertain", due_ms=later)
    found = await all_of(rig.queue.put_off("acme"))
    assert len(found) == 4
    assert await all_of(rig.queue.put_off("acm")) == []
    chosen = [each for each in found if each.element.message_id in {"acme.g-0-0", "acme.g-0-2"}]
    assert await erase(rig, chosen) == [2, 0]
    assert await rig.ledger() == (1, 0, 1, 2)
    assert set(await _events(rig)) >= {
        ("cancelled", "recipient_erased", "acme.g-0-0"),
        ("failed", "uncertain_given_up", "acme.g-0-2"),
    }


async def test_a_letter_is_replaced_by_what_is_left_of_it(rig: Rig) -> None:
    for number in range(250):
        await rig.redis.xadd(rig.queue.keys.dead, {b"n": str(number).encode()})
    letters = await all_of(rig.queue.letters())
    assert [each.fields[b"n"] for each in letters] == [str(number).encode() for number in range(250)]
    assert [await rig.queue.replace_letter(letters[7], {}) for _ in range(2)] == [1, 0]
    assert [await rig.queue.replace_letter(letters[8], {b"n": b"rest"}) for _ in range(2)] == [1, 0]
    now = [each.fields[b"n"] for each in await all_of(rig.queue.letters())]
    assert (len(now), now[-1]) == (249, b"rest")


async def test_an_element_that_went_on_is_left_alone(rig: Rig) -> None:
    await rig.post_and_start(count=1)
    (waiting,) = await all_of(rig.queue.waiting("acme"))
    items = (await rig.take()).items
    assert await erase(rig, [waiting]) == [0, 0]
    stale = waiting._replace(packed=pack_element("acme.g-0-0", b"other"))
    assert await erase(rig, [stale]) == [0, 0]
    assert await rig.gate(items) == ["go"]


async def _events(rig: Rig) -> list[tuple[str, str, str]]:
    return [
        (event.type, event.reason_code, event.reference.split("-", 3)[-1])
        for outcome in await rig.outcomes()
        for event in outcome.events
    ]
