"""Watchers of groups: how often the group is asked for, and how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from morpheus_kit.clock import ManualClock
from morpheus_kit.errors import NotFoundError, ThrottledError
from morpheus_kit.queue.schema import SharedInfo
from services.tracker.groups import GroupView, view_group
from services.tracker.store.base import GroupRow
from services.tracker.watches import EVERY_SECONDS, Watches

SHARED = SharedInfo(1, "acme", "june", "test", "test", "a.html")


def view(settled: int) -> GroupView:
    """Of a group of ten."""
    row = GroupRow(SHARED, 1, 10, 1, {"sent": settled, "queued": 10 - settled}, settled, 5)
    found = view_group(row, None, 9, 9)
    assert found is not None
    return found


class World:
    """A group that moves on by one message each half second, and what was asked of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.settled = 0
        self.asked: list[tuple[str, str]] = []

    async def ask(self, company: str, group_id: str) -> GroupView:
        self.asked.append((company, group_id))
        await asyncio.sleep(0)
        if group_id == "none":
            raise NotFoundError
        return replace(view(self.settled), shared=SHARED)

    def watches(self, most: int = 100) -> Watches:
        """All wait for the same half seconds."""
        self.turn = asyncio.Event()
        return Watches(self.ask, self.clock, most, self.wait)

    async def wait(self, seconds: float) -> None:
        assert seconds == EVERY_SECONDS
        await self.turn.wait()

    async def pass_time(self) -> None:
        self.settled += 1
        self.clock.advance(EVERY_SECONDS)
        turn, self.turn = self.turn, asyncio.Event()
        turn.set()
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    return World()


async def test_all_watchers_of_a_group_share_one_question_a_turn(world: World) -> None:
    watches, seen = world.watches(), [list[float](), list[float](), list[float]()]

    async def watch(number: int) -> None:
        async for each in watches.watch("acme", "june"):
            seen[number].append(each.percent)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(watch(number))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(world.asked) == 1
        for turn in range(10):
            await world.pass_time()
            assert len(world.asked) == turn + 2
    assert seen == [[10.0 * number for number in range(11)]] * 3


async def test_watchers_of_other_groups_and_companies_ask_for_themselves(world: World) -> None:
    watches = world.watches()
    for company, group_id in (("acme", "june"), ("acme", "july"), ("other", "june"), ("*", "june")):
        await first(watches.watch(company, group_id))
    assert len(set(world.asked)) == 4


async def test_one_watcher_too_many_is_told_so_and_may_come_when_another_left(world: World) -> None:
    watches = world.watches(most=2)
    one, two = watches.watch("acme", "june"), watches.watch("acme", "july")
    await anext(one)
    await anext(two)
    with pytest.raises(ThrottledError, match="2 watchers of groups are served already"):
        await first(watches.watch("acme", "june"))
    await one.aclose()
    await first(watches.watch("acme", "june"))
    await two.aclose()


async def test_a_refusal_is_shared_too_and_takes_no_place(world: World) -> None:
    watches = world.watches(most=3)
    for _ in range(4):
        answers = await asyncio.gather(
            *(first(watches.watch("acme", "none")) for _ in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [NotFoundError] * 3
    assert len(world.asked) == 4


async def test_a_watcher_that_goes_while_it_asks_leaves_the_others_to_ask(world: World) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(company: str, group_id: str) -> GroupView:
        started.set()
        await go_on.wait()
        return await world.ask(company, group_id)

    watches = Watches(slow, world.clock, 2)
    gone = asyncio.ensure_future(first(watches.watch("acme", "june")))
    await started.wait()
    other = asyncio.ensure_future(first(watches.watch("acme", "june")))
    await asyncio.sleep(0)
    gone.cancel()
    go_on.set()
    assert (await other).total == 10
    await first(watches.watch("acme", "june"))


async def first(states: AsyncGenerator[GroupView, None]) -> GroupView:
    """The first state, after which the watcher goes."""
    async with aclosing(states):
        return await anext(states)
