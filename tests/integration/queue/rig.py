"""A small sender over the queue, for the tests of its scripts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from morpheus_kit.queue import outcomes, schema
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.keys import TRACKERS
from morpheus_kit.queue.scripts import (
    CommitItem,
    CommitPart,
    CommitResult,
    GateAnswer,
    GateItem,
    Queue,
    RecoverItem,
    SendResult,
    Taken,
    TakenItem,
)
from tests.integration.commits import commit_of

METHOD, PRIORITY = "test", "normal"
REFERENCE = "202601-000-abcdef01"
LEDGER = ("waiting", "sending", "uncertain", "ended")


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass
class Rig:
    """The queue with defaults filled in; every method is one step."""

    queue: Queue
    redis: Any  # its types speak of str, it answers bytes
    me: str = "me"
    nonces: int = 0

    def as_consumer(self, name: str) -> Rig:
        """The same queue, seen by another sender."""
        return replace(self, me=name)

    async def post(self, group: str = "acme/g", number: int = 0, count: int = 3, **more: object) -> CommitResult:
        """Stages and commits one part of `count` messages named `<group>-<number>-<index>`."""
        part = f"{group}/{number}"
        elements = [pack_element(f"{group}-{number}-{i}".replace("/", "."), b"\x80\xff\x00" * 9) for i in range(count)]
        for start in range(0, count, 500):
            await self.queue.stage(part, "request", elements[start : start + 500], start)
        return await self.queue.commit_part(self.commit(part, count, **more))

    @staticmethod
    def commit(part: str, count: int, **more: object) -> CommitPart:
        """A commit of staged messages."""
        values = {"ref": REFERENCE, "shared_blob": b"\x00shared", "reply": b"\x00reply to it"}
        return commit_of(part, count, **(values | more))

    async def start(self) -> list[str]:
        """Starts the parts of all jobs."""
        jobs = await self.queue.read_jobs(self.me, 100, 0)
        return [await self.queue.start_part(job.part, job.entry_id, b"") for job in jobs]

    async def post_and_start(self, group: str = "acme/g", **more: object) -> None:
        """A part in the ring."""
        await self.post(group, **more)  # type: ignore[arg-type]
        await self.start()

    async def take(self, count: int = 100, *, methods: Sequence[str] = (METHOD,), limit: int = 1000) -> Taken:
        """Takes with a new nonce."""
        self.nonces += 1
        return await self.queue.take(self.me, f"{self.me}-{self.nonces}", list(methods), count, limit)

    async def gate(self, items: Sequence[TakenItem]) -> list[GateAnswer]:
        """Passes the gate with all of them."""
        return await self.queue.gate(
            METHOD,
            PRIORITY,
            self.me,
            [
                GateItem(i.entry_id, i.element.message_id, i.element.attempt, i.part, i.element.message_id.encode())
                for i in items
            ],
        )

    def outcome(self, item: TakenItem, result: SendResult, *, due_ms: int = 0, policy: str = "resend") -> CommitItem:
        """What a sender would commit."""
        element = item.element
        step = result in {"retry", "throttled"}
        return CommitItem(
            item.entry_id,
            element.message_id,
            element.attempt,
            result,
            packed_event(element.message_id, result, element.attempt),
            due_ms,
            policy if result == "uncertain" else "-",
            pack_element(element.message_id, element.blob, attempt=element.attempt + step, tries=element.tries + step),
            packed_event(element.message_id, "failed", element.attempt),
        )

    async def commit_sends(
        self, items: Sequence[TakenItem], result: SendResult, *, due_ms: int = 0, policy: str = "resend"
    ) -> list[bool]:
        """Commits all of them with one result."""
        commits = [self.outcome(item, result, due_ms=due_ms, policy=policy) for item in items]
        return await self.queue.commit_sends(METHOD, PRIORITY, self.me, commits, b"")

    async def recover(self, items: Sequence[RecoverItem]) -> list[bool]:
        """Makes claimed entries uncertain."""
        return await self.queue.recover(METHOD, PRIORITY, self.me, items, b"")

    async def claim(self, min_idle_ms: int = 0) -> list[RecoverItem]:
        """Claims everything of others, as what `recover` wants."""
        claimed = await self.queue.claim(METHOD, PRIORITY, self.me, min_idle_ms, 100)
        return [
            RecoverItem(
                c.entry_id,
                c.element.message_id,
                c.element.attempt,
                0,
                "resend",
                pack_element(
                    c.element.message_id,
                    c.element.blob,
                    attempt=c.element.attempt,
                    tries=c.element.tries,
                    provider=c.element.provider,
                ),
                packed_event(c.element.message_id, "uncertain", c.element.attempt),
            )
            for c in claimed
        ]

    async def ledger(self, group: str = "acme/g") -> tuple[int, ...]:
        """Waiting, sending, uncertain, ended; checks their sum."""
        state = await self.queue.group_state(group)
        assert state is not None
        values = tuple(int(state[name]) for name in LEDGER)
        assert sum(values) == int(state["total"])
        return values

    async def outcomes(self) -> list[outcomes.Outcome]:
        """All entries of `outcomes`, decoded."""
        return [outcomes.unpack_outcome(fields) for _, fields in await self.redis.xrange(self.queue.keys.outcomes)]

    async def events(self) -> list[tuple[str, str, int]]:
        """Message id, type and attempt of all events so far."""
        return [
            (e.reference.removeprefix(f"{REFERENCE}-"), e.type, e.attempt)
            for outcome in await self.outcomes()
            for e in outcome.events
        ]

    async def read_outcomes(self, consumer: str) -> list[bytes]:
        """Ids of new entries, as the tracker reads them."""
        answer = await self.redis.xreadgroup(TRACKERS, consumer, {self.queue.keys.outcomes: ">"}, count=100)
        return [entry[0] for stream in answer.values() for entries in stream for entry in entries]


def packed_event(message_id: str, kind: str, attempt: int) -> bytes:
    """A packed Event of ours."""
    return schema.pack(schema.Event(f"{REFERENCE}-{message_id}", kind, attempt, 1))
