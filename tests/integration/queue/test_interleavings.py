"""One message in doubt, every order of what can happen to it: the late answer of its first sender, the taking over by
another, the receipt, the timer, and the resend with its gate and its answer.

The scripts answer as the model does after each step, and what must never be is asserted without the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Any, NamedTuple

import pytest

from morpheus_kit.queue.elements import Element, pack_element
from morpheus_kit.queue.scripts import Claimed, CommitItem, GateItem, Queue, RecoverItem, SendResult
from tests.integration.queue.model import Model
from tests.integration.queue.rig import METHOD, PRIORITY, Rig, packed_event
from tests.integration.queue.test_control_steps import receipt

_PARTITIONS = 7
OLD, OTHER, NEW = "old", "other", "new"
# Each of these needs the one before it.
CHAINS = (("claim", "recover"), ("timer", "gate", "answer"))
STEPS = ("late", "claim", "recover", "timer", "gate", "answer")


def orders(*more: str) -> Iterator[tuple[str, ...]]:
    """Every order of all steps and `more` that keeps the chains."""
    for order in permutations([*STEPS, *more]):
        if all([step for step in order if step in chain] == list(chain) for chain in CHAINS):
            yield order


class Fate(NamedTuple):
    """What the provider does. `first`: what the first sender is told; `taken`: whether the provider took it then;
    `second`: what the sender of the resend is told.
    """

    first: SendResult
    taken: bool
    second: SendResult
    policy: str


POLICIES = ("resend", "give_up")
SECONDS: tuple[SendResult, ...] = ("sent", "uncertain", "failed")
TAKEN = [Fate(*each) for each in product(("sent", "uncertain"), [True], SECONDS, POLICIES)]  # type: ignore[arg-type]
FIRSTS = [("sent", True), ("uncertain", False), ("failed", False), ("retry", False)]
ANY = [Fate(*first, *rest) for first, *rest in product(FIRSTS, SECONDS, POLICIES)]  # type: ignore[arg-type]


@dataclass
class Hand:
    """One message in the hands of a sender."""

    entry: str
    element: Element


@dataclass
class History:
    """One order, played with a message for each fate. `twice`: each script is called again, as after a lost answer."""

    rig: Rig
    number: int
    fates: list[Fate]
    twice: bool
    model: Model = field(default_factory=Model)
    calls: list[tuple[str, int]] = field(default_factory=list)
    takes: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    """What the system knows to have been taken: by an answer or a receipt."""
    answers: dict[str, int] = field(default_factory=dict)
    """Of the gate of the resend."""

    def __post_init__(self) -> None:
        self.queue = self.rig.queue
        self.group = f"acme/h{self.number}"
        names = [f"acme.h{self.number}-0-{index}" for index in range(len(self.fates))]
        self.fate = dict(zip(names, self.fates, strict=True))
        self.old: list[Hand] = []
        self.new: list[Hand] = []
        self.claimed: list[Claimed] = []
        self.nonces = 0

    async def play(self, order: tuple[str, ...]) -> None:
        """From the post to the end of all."""
        await self.begin()
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "late": self.late,
            "claim": self.claim,
            "recover": self.recover,
            "timer": self.timer,
            "gate": self.gate,
            "answer": self.answer,
            "receipt": self.receipt,
        }
        for step in order:
            await steps[step]()
            await self.check_ledger()
        await self.drain()
        await self.check_ledger()

    async def drain(self) -> None:
        """Until all is ended, in the order in which a calm system would do it."""
        places = {"held": self.claim, "retry": self.timer, "uncertain": self.timer, "pending": self.gate}
        for _ in range(20):
            left = {message.place for message in self.model.messages.values()}
            if left == {"ended"}:
                return
            if self.new:
                await self.answer()
            elif self.claimed:
                await self.recover()
            else:
                await next(step for place, step in places.items() if place in left)()
        raise AssertionError("messages are stuck")

    async def both(self, script: Callable[[], Awaitable[Any]], model: Callable[[], Any]) -> Any:
        """The answer, which is the model's."""
        answer, expected = await script(), model()
        assert answer == expected
        if self.twice:
            assert await script() == model()
        return answer

    async def check_ledger(self) -> None:
        """It adds up, as in the model."""
        assert await self.rig.ledger(self.group) == self.model.groups[self.group].ledger()

    async def begin(self) -> None:
        """The first sender has passed the gate, and called the provider."""
        assert (await self.rig.post(self.group, 0, len(self.fates))).kind == "committed"
        self.model.commit_part(self.group, 0, list(self.fate), PRIORITY, due=False)
        (job,) = await self.queue.read_jobs(OLD, 1, 0)
        assert await self.queue.start_part(job.part, job.entry_id, b"") == self.model.start(job.part, failed=False)
        self.old = await self.take(OLD)
        assert set(await self.pass_gate(OLD, self.old)) == {"go"}
        for hand in self.old:
            self.call(hand, taken=self.fate[hand.element.message_id].taken)

    async def take(self, consumer: str) -> list[Hand]:
        """All that waits."""
        self.nonces += 1
        nonce = f"{self.number}-{self.nonces}"
        _, expected, _ = self.model.take(consumer, nonce, 100)
        items = (await self.queue.take(consumer, nonce, [METHOD], 100, 10**6)).items
        assert [(i.element.message_id, i.element.attempt) for i in items] == [(m.id, m.attempt) for m in expected]
        for item, message in zip(items, expected, strict=True):
            message.entry = item.entry_id
        return [Hand(item.entry_id, item.element) for item in items]

    async def pass_gate(self, consumer: str, hands: list[Hand]) -> list[str]:
        """The gate's answers; called twice it lets the same ones go."""
        if not hands:
            return []
        items = [GateItem(h.entry, h.element.message_id, h.element.attempt, f"{self.group}/0") for h in hands]
        answers = await self.queue.gate(METHOD, PRIORITY, consumer, items)
        assert answers == self.model.gate(consumer, [item[:3] for item in items])
        if self.twice:
            again = await self.queue.gate(METHOD, PRIORITY, consumer, items)
            assert again == self.model.gate(consumer, [item[:3] for item in items])
            assert [each == "go" for each in again] == [each == "go" for each in answers]
        return [str(answer) for answer in answers]

    def call(self, hand: Hand, *, taken: bool) -> None:
        """The provider is called."""
        name = hand.element.message_id
        self.calls.append((name, hand.element.attempt))
        self.takes[name] = self.takes.get(name, 0) + taken

    async def commit(self, consumer: str, hands: list[Hand], results: list[SendResult]) -> None:
        """What came back."""
        items = [self.commit_item(*each) for each in zip(hands, results, strict=True)]

        def expected() -> list[bool]:
            return [self.model.commit(consumer, i.entry_id, i.message_id, i.attempt, i.result, i.policy) for i in items]

        if items:
            await self.both(lambda: self.queue.commit_sends(METHOD, PRIORITY, consumer, items, b""), expected)
        self.told |= {item.message_id for item in items if item.result == "sent"}

    def commit_item(self, hand: Hand, result: SendResult) -> CommitItem:
        element = hand.element
        name, attempt = element.message_id, element.attempt
        following = pack_element(name, element.blob, attempt=attempt + (result == "retry"), provider="p")
        event, given_up = packed_event(name, result, attempt), packed_event(name, "failed", attempt)
        return CommitItem(
            hand.entry, name, attempt, result, event, 0, self.fate[name].policy, following, given_up, ask_ms=2**42
        )

    # The steps ----------------------------------------------------------------------------

    async def late(self) -> None:
        """The first sender tells what it was told."""
        hands, self.old = self.old, []
        await self.commit(OLD, hands, [self.fate[hand.element.message_id].first for hand in hands])

    async def claim(self) -> None:
        """Another takes over all that is held, alive or not: the worst lease."""
        rows = await self.queue.claim(METHOD, PRIORITY, OTHER, 0, 500)
        assert {row.element.message_id for row in rows} == {m.id for m in self.model.claim(OTHER)}
        if self.twice:
            assert await self.queue.claim(METHOD, PRIORITY, OTHER, 0, 500) == []
        assert all(row.mark for row in rows)
        self.claimed += rows

    async def recover(self) -> None:
        """And makes it uncertain."""
        claimed, self.claimed = self.claimed, []
        items = [self.recover_item(row) for row in claimed]

        def expected() -> list[bool]:
            return [self.model.recover(OTHER, i.entry_id, i.message_id, i.attempt, i.policy) for i in items]

        if items:
            await self.both(lambda: self.queue.recover(METHOD, PRIORITY, OTHER, items, b""), expected)

    def recover_item(self, row: Claimed) -> RecoverItem:
        name, attempt = row.element.message_id, row.element.attempt
        element, event = (
            pack_element(name, row.element.blob, attempt=attempt, provider="p"),
            packed_event(name, "uncertain", attempt),
        )
        policy, given_up = self.fate[name].policy, packed_event(name, "failed", attempt)
        return RecoverItem(row.entry_id, name, attempt, 0, policy, element, event, given_up, ask_ms=2**42)

    async def timer(self) -> None:
        """All waits are over."""

        async def moved() -> int:
            return (await self.queue.timer(500)).moved

        await self.both(moved, lambda: self.model.timer(500))

    async def gate(self) -> None:
        """What waits is taken, and what passes the gate is sent: never what is known to have been taken."""
        hands = await self.take(NEW)
        for hand, answer in zip(hands, await self.pass_gate(NEW, hands), strict=True):
            name = hand.element.message_id
            self.answers[answer] = self.answers.get(answer, 0) + 1
            if answer == "go":
                assert name not in self.told, (name, self.fate[name])
                self.call(hand, taken=self.fate[name].second == "sent")
                self.new.append(hand)

    async def answer(self) -> None:
        """What the second sender was told."""
        hands, self.new = self.new, []
        await self.commit(NEW, hands, [self.fate[hand.element.message_id].second for hand in hands])

    async def receipt(self) -> None:
        """The provider says that it had the first one."""
        names = list(self.fate)

        async def settled() -> int:
            return await self.queue.receipt([receipt(name) for name in names])

        await self.both(settled, lambda: sum(self.model.receipt(name) for name in names))
        self.told |= set(names)

    # The end ------------------------------------------------------------------------------

    def check(self, recorded: dict[str, list[tuple[str, int]]]) -> None:
        """At most one resend, one end, and the record says what is true."""
        for name, fate in self.fate.items():
            attempts = [attempt for called, attempt in self.calls if called == name]
            events = set(recorded[name])
            kinds = {kind for kind, _ in events}
            said = (name, fate, sorted(events))
            assert len(attempts) == len(set(attempts)), said
            # A retry is no resend: the provider said that it had not taken it.
            assert len(attempts) <= 2 + (fate.first == "retry"), said
            assert self.takes[name] <= 1 + ("uncertain" in kinds), said
            assert len([each for each in events if each[0] == "failed"]) <= 1, said
            # A receipt that comes after the end says more than it; the record shows that.
            assert bool(kinds & {"sent", "delivered"}) == (name in self.told), said
            assert kinds & {"sent", "failed"}, said
            assert self.model.messages[name].end in kinds, said


async def run(rig: Rig, fates: list[Fate], *more: str) -> list[History]:
    """All orders, in some partitions at the same time: timer and taking over are for all of one."""
    numbered = list(enumerate(orders(*more)))
    rigs = [Rig(Queue(rig.redis, partition, aof_always=True), rig.redis) for partition in range(_PARTITIONS)]

    async def some(mine: Rig) -> list[History]:
        await mine.queue.prepare()
        await mine.queue.suppressions_known()
        histories = []
        for number, order in numbered[mine.queue.keys.partition :: _PARTITIONS]:
            history = History(mine, number, fates, twice=number % 3 == 0)
            await history.play(order)
            histories.append(history)
        recorded: dict[str, list[tuple[str, int]]] = {}
        for name, kind, attempt in await mine.events():
            recorded.setdefault(name, []).append((kind, attempt))
        for history in histories:
            history.check(recorded)
        keys = mine.queue.keys
        for key in (keys.inflight, keys.later, keys.later_blobs, keys.doubt):
            assert not await mine.redis.exists(key), key
        return histories

    return [history for each in await asyncio.gather(*map(some, rigs)) for history in each]


@pytest.mark.parametrize(
    ("fates", "more", "expected"), [(TAKEN, ("receipt",), 420), (ANY, (), 60)], ids=["receipt", "no receipt"]
)
async def test_every_order_sends_at_most_once_more_and_settles_once(
    rig: Rig, fates: list[Fate], more: tuple[str, ...], expected: int
) -> None:
    histories = await run(rig, fates, *more)
    assert len(histories) == expected
    # Both happen: a resend that goes, and one that the gate stops, else the orders would prove nothing.
    answers = {answer for history in histories for answer in history.answers}
    assert answers == {"go", "done"}
