"""Senders that die, freeze and come late, over the real scripts, in lockstep with the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypeVar, cast

from morpheus_kit.errors import ConflictError
from morpheus_kit.queue.elements import Element, pack_element
from morpheus_kit.queue.scripts import CommitItem, GateItem, HandBackItem, Kind, RecoverItem, SendResult, SuppressItem
from tests.integration.queue.model import Model
from tests.integration.queue.rig import METHOD, Rig, packed_event
from tests.integration.queue.test_control_steps import receipt

T = TypeVar("T")
GROUPS = ["acme/one", "acme/two", "acme/three", "beta/one", "beta/two"]
RESULTS = ["accepted"] * 6 + ["refused", "transient", "throttled", "timeout-sent", "timeout-lost"]


@dataclass
class Held:
    """One message in the hands of a worker."""

    entry: str
    part: str
    priority: str
    element: Element
    result: SendResult | None = None


@dataclass
class Worker:
    """A sender's memory, lost when it is killed. A frozen one does nothing for some rounds."""

    name: str
    taken: list[Held] = field(default_factory=list)
    passed: list[Held] = field(default_factory=list)
    answered: list[Held] = field(default_factory=list)
    marked: list[Held] = field(default_factory=list)
    frozen: int = 0

    def entries(self) -> set[str]:
        """All that it has in hand."""
        return {held.entry for held in (*self.taken, *self.passed, *self.answered, *self.marked)}


class Simulator:
    """One run; everything random comes from the seed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        """A queue that is empty."""
        self.rig, self.queue, self.model, self.random = rig, rig.queue, Model(), Random(seed)
        self.born = 0
        self.posted: dict[str, int] = {}
        self.workers = [self._worker() for _ in range(3)]
        self.calls: list[tuple[str, int, str]] = []  # id, attempt, what the provider did
        self.taken_by_provider: list[str] = []
        self.actions: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (4, self.post),
            (8, self.start),
            (12, self.take),
            (14, self.gate),
            (14, self.send),
            (14, self.commit),
            (3, self.reject),
            (5, self.claim),
            (8, self.recover),
            (3, self.hand_back),
            (8, self.timer),
            (6, self.receipt),
            (4, self.control),
            (3, self.suppress),
            (1, self.expire),
            (2, self.kill),
            (3, self.freeze),
        ]

    def _worker(self) -> Worker:
        self.born += 1
        return Worker(f"worker-{self.born}")

    def _some(self, items: list[T], priority: str = "") -> list[T]:
        """Some of them, of one priority where one is named, removed."""
        picked = [item for item in items if not priority or cast("Any", item).priority == priority]
        picked = picked[: self.random.randint(0, len(picked))]
        items[:] = [item for item in items if item not in picked]
        return picked

    def _awake(self) -> Worker:
        return self.random.choice([w for w in self.workers if not w.frozen] or self.workers)

    async def both(self, script: Callable[[], Awaitable[Any]], model: Callable[[], Any]) -> Any:
        """The script answers as the model; one time in six it is called again, to no further effect."""
        answer, expected = await script(), model()
        assert answer == expected
        await self.check_ledgers()
        if self.random.random() < 1 / 6:
            before = [group.ledger() for group in self.model.groups.values()]
            assert await script() == model()
            assert [group.ledger() for group in self.model.groups.values()] == before
            await self.check_ledgers()
        return answer

    async def check_ledgers(self) -> None:
        """The identity, group by group."""
        for name, group in self.model.groups.items():
            assert await self.rig.ledger(name) == group.ledger(), name

    async def step(self) -> None:
        """One random action."""
        for worker in self.workers:
            worker.frozen = max(0, worker.frozen - 1)
        weights, actions = zip(*self.actions, strict=True)
        await self.random.choices(actions, weights)[0]()

    # Groups -------------------------------------------------------------------------------

    async def post(self) -> None:
        """A further part of some group."""
        name = self.random.choice(GROUPS)
        number = self.posted.get(name, 0)
        if number == 4 or (name in self.model.groups and self.model.groups[name].control == "cancelled"):
            return
        self.posted[name] = number + 1
        count, due = self.random.choice([1, 5, 60]), self.random.random() < 0.3
        priority = "high" if name == "beta/two" else "normal"
        ids = [f"{name}-{number}-{i}".replace("/", ".") for i in range(count)]
        stream = "newsletter" if name == "acme/two" else "transactional"
        result = await self.rig.post(name, number, count, priority=priority, send_ms=2**42 if due else 0, stream=stream)
        assert result.kind == "committed"
        assert (await self.rig.post(name, number, count, priority=priority)).kind == "replayed"
        self.model.commit_part(name, number, ids, priority, due=due)
        if due:  # so the next timer finds it due
            await self.rig.redis.zadd(self.queue.keys.due, {f"{name}/{number}": 1})

    async def start(self) -> None:
        """Some jobs; one reader in ten is lost with its job, which another claims."""
        reader = self._awake().name
        jobs = await self.queue.read_jobs(reader, 2, 0)
        if self.random.random() < 0.1:
            return
        for job in jobs or await self.queue.claim_jobs(reader, 0, 2):
            if self.random.random() < 0.1:
                answer = await self.queue.fail_part(job.part, job.entry_id, "template_missing", "a")
                assert answer == self.model.start(job.part, failed=True)
            else:
                answer = await self.queue.start_part(job.part, job.entry_id, b"")
                assert answer == self.model.start(job.part, failed=False)
                assert await self.queue.start_part(job.part, job.entry_id, b"") == "repeated"
        await self.check_ledgers()

    async def control(self) -> None:
        """A control word; cancelled is rare, for it is for ever."""
        if not self.model.groups:
            return
        name = self.random.choice(list(self.model.groups))
        word = self.random.choices(["paused", "running", "cancelled"], [4, 6, 1])[0]
        steps = {"paused": self.queue.pause, "running": self.queue.resume, "cancelled": self.queue.cancel}
        if word == "running" and self.model.groups[name].control == "cancelled":
            try:
                await self.queue.resume(name, "key")
            except ConflictError:
                return
            raise AssertionError
        control, stopped = await steps[word](name, "key")
        assert (control, stopped) == self.model.control(name, word)
        assert (await steps[word](name, "key")).stopped == 0
        await self.check_ledgers()

    async def suppress(self) -> None:
        """The address of some message goes on a list of its company, or off it."""
        if not self.model.messages:
            return
        name, message = self.random.choice(list(self.model.messages.items()))
        stream = self.random.choice(["", "newsletter", "transactional"])
        kind: Kind | Literal[""] = self.random.choice(["bounce", "manual", ""])
        for _ in range(2):
            await self.queue.suppress(message.part.group.company, [SuppressItem(stream, name.encode(), kind)])
        self.model.suppress((message.part.group.company, stream, name), on=bool(kind))

    async def expire(self) -> None:
        """The time of a group is over; here by hand, its clock cannot be moved."""
        if self.model.groups and self.random.random() < 0.2:
            name = self.random.choice(list(self.model.groups))
            self.model.groups[name].expired = True
            await self.rig.redis.hset(self.queue.keys.group(name), "expires_ms", 1)

    # Senders ------------------------------------------------------------------------------

    async def take(self) -> None:
        """Some messages; now and then the answer is lost and asked for again."""
        worker = self._awake()
        self.rig.nonces += 1
        nonce, count = f"n{self.rig.nonces}", self.random.choice([1, 7, 100])
        status, expected, ended = self.model.take(worker.name, nonce, count)
        taken = await self.queue.take(worker.name, nonce, [METHOD], count, 10**6)
        assert (taken.status, taken.ended) == (status, ended)
        assert [i.element.message_id for i in taken.items] == [m.id for m in expected]
        assert [i.element.attempt for i in taken.items] == [m.attempt for m in expected]
        for item, message in zip(taken.items, expected, strict=True):
            message.entry = item.entry_id
        if taken.items and self.random.random() < 0.3:
            assert (await self.queue.take(worker.name, nonce, [METHOD], count, 10**6)).items == taken.items
        worker.taken += [Held(i.entry_id, i.part, i.priority, i.element) for i in taken.items]
        await self.check_ledgers()

    async def gate(self) -> None:
        """Some of what it holds, of one priority."""
        worker = self._awake()
        for priority in ("high", "normal"):
            items = self._some(worker.taken, priority)
            if not items:
                continue
            gated = [
                GateItem(h.entry, h.element.message_id, h.element.attempt, h.part, h.element.message_id.encode())
                for h in items
            ]
            answers = await self.queue.gate(METHOD, priority, worker.name, gated)
            assert answers == self.model.gate(worker.name, [item[:3] for item in gated])
            again = await self.queue.gate(METHOD, priority, worker.name, gated)
            assert again == self.model.gate(worker.name, [item[:3] for item in gated])
            assert [a == "go" for a in again] == [a == "go" for a in answers]
            worker.passed += [held for held, answer in zip(items, answers, strict=True) if answer == "go"]
        await self.check_ledgers()

    async def send(self) -> None:
        """Calls the provider."""
        worker = self._awake()
        for held in self._some(worker.passed):
            name, attempt = held.element.message_id, held.element.attempt
            deed = self.random.choice(RESULTS)
            self.calls.append((name, attempt, deed))
            if deed in {"accepted", "timeout-sent"}:
                self.taken_by_provider.append(name)
            results = {"accepted": "sent", "refused": "failed", "transient": "retry", "throttled": "throttled"}
            held.result = cast("SendResult", results.get(deed, "uncertain"))
            worker.answered.append(held)

    async def commit(self) -> None:
        """Commits what came back."""
        worker = self._awake()
        for priority in ("high", "normal"):
            items = self._some(worker.answered, priority)
            if items:
                await self._commit(worker.name, priority, items)

    async def reject(self) -> None:
        """Some could not be rendered."""
        worker = self._awake()
        for held in self._some(worker.taken)[:2]:
            held.result = "rejected"
            await self._commit(worker.name, held.priority, [held])

    async def _commit(self, consumer: str, priority: str, items: list[Held]) -> None:
        commits = [self._commit_item(held) for held in items]

        def expected() -> list[bool]:
            return [
                self.model.commit(consumer, c.entry_id, c.message_id, c.attempt, c.result, c.policy) for c in commits
            ]

        async def script() -> list[bool]:
            return await self.queue.commit_sends(METHOD, priority, consumer, commits, b"")

        await self.both(script, expected)

    def _commit_item(self, held: Held) -> CommitItem:
        element, result = held.element, cast("SendResult", held.result)
        step = result in {"retry", "throttled"}
        return CommitItem(
            held.entry,
            element.message_id,
            element.attempt,
            result,
            packed_event(element.message_id, result, element.attempt),
            0,
            self._policy(element.message_id),
            pack_element(element.message_id, element.blob, attempt=element.attempt + step),
        )

    @staticmethod
    def _policy(name: str) -> str:
        return "give_up" if name.endswith("3") else "resend"

    async def claim(self) -> None:
        """Takes over everything of the others (the worst lease), alive or not."""
        worker = self._awake()
        for priority in ("high", "normal"):
            for row in await self.queue.claim(METHOD, priority, worker.name, 0, 500):
                message = self.model.messages[row.element.message_id]
                assert message.place == "held"
                assert message.owner != worker.name
                assert row.mark == (f"{message.mark[0]} {message.mark[1]} {row.part}" if message.mark else None)
                message.owner = worker.name
                if row.entry_id not in worker.entries():  # else it came back to a sender that has it in hand
                    hands = worker.marked if row.mark else worker.taken
                    hands.append(Held(row.entry_id, row.part, priority, row.element))

    async def recover(self) -> None:
        """Some marked entries become uncertain; by now another may have them."""
        worker = self._awake()
        for priority in ("high", "normal"):
            await self._recover(worker.name, priority, self._some(worker.marked, priority))

    async def _recover(self, consumer: str, priority: str, marked: list[Held]) -> None:
        items = [self._recover_item(held) for held in marked]

        def expected() -> list[bool]:
            return [self.model.recover(consumer, i.entry_id, i.message_id, i.attempt, i.policy) for i in items]

        async def script() -> list[bool]:
            return await self.queue.recover(METHOD, priority, consumer, items, b"")

        await self.both(script, expected)

    def _recover_item(self, held: Held) -> RecoverItem:
        name, attempt = held.element.message_id, held.element.attempt
        element, event = (
            pack_element(name, held.element.blob, attempt=attempt),
            packed_event(name, "uncertain", attempt),
        )
        return RecoverItem(held.entry, name, attempt, 0, self._policy(name), element, event)

    async def hand_back(self) -> None:
        """A sender that stops in order."""
        worker = self._awake()
        items = self._some(worker.taken)
        for priority in ("high", "normal"):
            entries = [HandBackItem(h.entry, h.element.message_id, h.part) for h in items if h.priority == priority]
            answer = await self.queue.hand_back(METHOD, priority, worker.name, entries)
            assert answer == self.model.hand_back(worker.name, [entry[:2] for entry in entries])
            assert await self.queue.hand_back(METHOD, priority, worker.name, entries) == 0
        await self.check_ledgers()

    async def kill(self) -> None:
        """A worker is gone with all that it knew."""
        self.workers[self.random.randrange(len(self.workers))] = self._worker()

    async def freeze(self) -> None:
        """A worker stands still; it goes on later as if nothing had been."""
        self._awake().frozen = self.random.randint(5, 40)

    # Others -------------------------------------------------------------------------------

    async def timer(self) -> None:
        """What is due."""
        count = self.random.choice([1, 5, 100])
        assert (await self.queue.timer(count)).moved == self.model.timer(count)
        await self.check_ledgers()

    async def receipt(self) -> None:
        """The provider tells of something that it took, at any time and repeatedly."""
        if self.taken_by_provider:
            name = self.random.choice(self.taken_by_provider[-20:])
            expected = self.model.receipt(name)
            assert await self.queue.receipt([receipt(name)]) == expected
            assert await self.queue.receipt([receipt(name)]) == self.model.receipt(name)
            await self.check_ledgers()

    async def drain(self) -> None:
        """Everything is let go until nothing waits."""
        for name, group in self.model.groups.items():
            if group.control == "paused":
                await self.queue.resume(name, "key")
                self.model.control(name, "running")
        for worker in self.workers:
            worker.frozen = 0
        calm = [self.start, self.take, self.gate, self.send, self.commit, self.timer, self.recover]
        for _ in range(3000):
            if all(m.place == "ended" for m in self.model.messages.values()):
                return
            await self.random.choice(calm)()
            if self.random.random() < 0.02:  # often enough to bring back what the dead held
                await self.claim()
        raise AssertionError("messages are stuck")

    async def check_end(self) -> None:
        """Nothing lost, nothing twice but what was uncertain, nothing left behind."""
        sent: dict[str, list[str]] = {}
        for name, _, deed in self.calls:
            if deed in {"accepted", "timeout-sent"}:
                sent.setdefault(name, []).append(deed)
        recorded: dict[str, set[str]] = {}
        for name, kind, _ in await self.rig.events():
            recorded.setdefault(name, set()).add(kind)
        for name, message in self.model.messages.items():
            assert message.end in recorded[name], name
            deeds = sent.get(name, [])
            assert len(deeds) <= 1 or (len(deeds) == 2 and "uncertain" in recorded[name]), name
            attempts = [attempt for called, attempt, _ in self.calls if called == name]
            assert len(attempts) == len(set(attempts)), name
        keys = self.queue.keys
        for key in (keys.inflight, keys.later, keys.later_blobs, keys.doubt, keys.due):
            assert not await self.rig.redis.exists(key), key
        for pattern in ("pending", "ring", "staging"):
            assert await self.rig.redis.keys(f"{keys.prefix}{pattern}:*") == []
        for priority in ("high", "normal"):
            assert await self.rig.redis.xlen(keys.messages(METHOD, priority)) == 0
