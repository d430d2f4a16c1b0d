"""Erasing a person: out of every store, whatever comes at the same time, and again after it broke off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import ManualClock, SystemClock
from morpheus_kit.errors import MorpheusError, UnavailableError
from morpheus_kit.queue.outcomes import Outcome, pack_outcome, pack_records
from morpheus_kit.queue.schema import pack
from morpheus_kit.queue.scripts import CommitItem, GateItem, Queue
from morpheus_kit.retention import DAY_S, Retention
from services.tracker.consumer import Consumer
from services.tracker.erasures import STORES, Erasures
from services.tracker.outbox import Outbox
from services.tracker.store.base import MessageFilter, StoreDownError
from services.tracker.store.privacy import Suppression
from services.tracker.store.sqlite import SqliteStore
from services.tracker.suppressions import Suppressions
from tests.integration.tracker.rig import SECRET, Sender, until

HASHER = AddressHasher(SECRET)
PERSON = "person0@example.com"
CLOCK = SystemClock()


@dataclass
class Rig:
    """A tracker without its RPCs, and one that fills its queue."""

    queue: Queue
    store: SqliteStore
    erasures: Erasures
    consumer: Consumer
    outbox: Path

    async def record_all(self) -> None:
        async with asyncio.timeout(10):
            while await self.queue.redis.xlen(self.queue.keys.outcomes):
                await self.consumer.step()

    async def erase(self, **expected: int) -> None:
        assert await self.erasures.erase("acme", PERSON) == {**dict.fromkeys(STORES, 0), **expected}

    async def listed(self) -> list[str]:
        found = await self.store.messages("acme", MessageFilter(), None, 100)
        return sorted(each.head.address.lower() for each in found)

    async def everything(self) -> bytes:
        """All that the queue holds."""
        redis, found = self.queue.redis, []
        for key in await redis.keys("*"):
            kind = await redis.type(key)
            if kind == b"list":
                found += await redis.lrange(key, 0, -1)
            elif kind == b"hash":
                found += (await redis.hgetall(key)).values()
            elif kind == b"stream":
                found += [value for _, fields in await redis.xrange(key) for value in fields.values()]
        return b"\n".join(found)


@pytest.fixture
async def rig(queue: Queue, tmp_path: Path) -> AsyncIterator[Rig]:
    store = SqliteStore(tmp_path / "records.db", CLOCK)
    await store.start()
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    suppressions = Suppressions(store, [queue], HASHER, CLOCK)
    await suppressions.rebuild()
    await queue.prepare()
    erasures = Erasures(store, [queue], HASHER, Outbox(str(outbox)), CLOCK)
    yield Rig(queue, store, erasures, Consumer(queue, store, suppressions, erasures, CLOCK, "me"), outbox)
    await store.stop()


async def fill(rig: Rig, *, sent: bool = True) -> Sender:
    """Group `june` was sent; `july` waits, and of it one is tried again later; dead letters of each kind."""
    june, july, august = (Sender(rig.queue, group_id=name) for name in ("june", "july", "august"))
    if sent:
        await june.commit(2)
        await june.send(0, 1)
        await rig.record_all()
        for index in range(2):
            (rig.outbox / f"{june.message_id(index)}.eml").write_text("x")
    await july.commit(2)
    await august.commit(1)
    await start(rig)
    await put_off(rig, august)
    dead = rig.queue.keys.dead
    person, other = june.record(0), june.record(1)
    told = Outcome(messages=[person, other], events=[june.event(0, "opened"), june.event(1, "opened")])
    for fields in (
        {b"kind": b"message", b"part": b"acme/june/0", b"element": b"1 0 x " + june.blob(0)},
        {b"kind": b"message", b"part": b"acme/june/0", b"element": b"1 0 x " + june.blob(1)},
        {b"kind": b"message", b"part": b"rival/june/0", b"element": b"1 0 x " + june.blob(0)},
        {b"kind": b"record", b"record": pack(person)},
        {b"kind": b"outcome", b"reason": b"r", **pack_outcome(told)},
        {b"kind": b"outcome", **pack_outcome(Outcome(events=[june.event(0, "clicked")]))},
        {b"kind": b"outcome", b"records": b"no outcome"},
    ):
        await rig.queue.redis.xadd(dead, fields)
    rows = [Suppression("acme", each, HASHER.hash("acme", PERSON), "bounce", 5, PERSON) for each in ("", "news")]
    await rig.store.add_suppressions(rows)
    return june


async def start(rig: Rig) -> None:
    for job in await rig.queue.read_jobs("me", 10, 0):
        await rig.queue.start_part(job.part, job.entry_id, b"")


async def put_off(rig: Rig, sender: Sender) -> None:
    """Message 0 of this group is tried again in a minute; what else was taken is handed back."""
    taken = (await rig.queue.take("me", "n1", ["test"], 100, 1000)).items
    mine = [item for item in taken if item.element.message_id == sender.message_id(0)]
    others = [(item.entry_id, item.element.message_id, item.part) for item in taken if item not in mine]
    await rig.queue.hand_back("test", "normal", "me", others)
    (item,) = mine
    gate = GateItem(item.entry_id, item.element.message_id, 1, item.part, b"")
    assert await rig.queue.gate("test", "normal", "me", [gate]) == ["go"]
    event, due = pack(sender.event(0, "deferred")), CLOCK.now_ms() + 60_000
    element = b"2 1 " + sender.message_id(0).encode() + b" " + sender.blob(0)
    records = pack_records([sender.record(0)])
    commit = CommitItem(item.entry_id, item.element.message_id, 1, "retry", event, due, "-", element)
    assert await rig.queue.commit_sends("test", "normal", "me", [commit], records) == [True]


async def test_a_person_is_out_of_every_store_and_counted_in_each(rig: Rig) -> None:
    june = await fill(rig)
    assert b"Person0@" in await rig.everything()

    await rig.erase(records=1, outbox=1, queue=2, later=1, dead_letters=4, suppressions=2)

    await rig.record_all()
    assert (await rig.everything()).count(b"Person0@") == 1  # the other company's
    assert await rig.listed() == ["person1@example.com"]
    assert [each.name for each in rig.outbox.iterdir()] == [f"{june.message_id(1)}.eml"]
    assert {each.address for each in await rig.store.suppressions("acme", None, None, 9)} == {None}
    for name, total in (("june", 2), ("july", 1), ("august", 1)):
        group = await rig.store.group("acme", name)
        assert group is not None
        assert sum(group.counts.values()) == total, name
    letters = [fields for _, fields in await rig.queue.redis.xrange(rig.queue.keys.dead)]
    assert len(letters) == 4
    assert letters[-1].keys() == {b"kind", b"reason", b"records", b"events"}
    await rig.erase()


async def test_a_record_that_comes_later_is_emptied_before_its_entry_is_done_with(rig: Rig) -> None:
    june = Sender(rig.queue)
    await june.commit(2)
    await june.send(0, 1)  # told, and not recorded yet
    await rig.erase(queue=1)
    await rig.record_all()
    assert await rig.listed() == ["person1@example.com"]
    await june.add(events=[june.event(0, "clicked", detail={"url": PERSON})])
    await june.send(0, kinds=("complained",))
    await rig.record_all()
    assert await rig.listed() == ["person1@example.com"]
    assert not await rig.store.suppressions("acme", None, None, 9)


async def test_what_is_posted_afterwards_is_kept_and_sent(rig: Rig) -> None:
    await rig.erase()
    june = Sender(rig.queue)
    june.accepted_ms = CLOCK.now_ms() + 1
    await june.commit(1)
    await start(rig)
    (item,) = (await rig.queue.take("me", "n", ["test"], 10, 1000)).items
    gate = GateItem(item.entry_id, item.element.message_id, 1, item.part, HASHER.hash("acme", PERSON))
    assert await rig.queue.gate("test", "normal", "me", [gate]) == ["go"]
    await june.send(0)
    await rig.record_all()
    assert await rig.listed() == [PERSON]
    await rig.erasures.sweep()
    assert await rig.listed() == [PERSON]


async def test_marks_come_back_to_a_queue_that_lost_them(rig: Rig) -> None:
    await rig.erase()
    await rig.queue.redis.flushall()
    await Suppressions(rig.store, [rig.queue], HASHER, CLOCK).rebuild()
    recipient = HASHER.hash("acme", PERSON)
    assert set(await rig.queue.erased("acme", [recipient, b"x"])) == {recipient}


async def test_what_a_provider_gives_back_is_found_by_the_next_sweep(rig: Rig) -> None:
    june = Sender(rig.queue)
    await june.commit(1)
    await start(rig)
    await rig.erase(queue=1)
    await rig.queue.redis.rpush(rig.queue.keys.pending("acme/june/0"), b"2 1 x " + june.blob(0))
    await rig.erasures.sweep()
    assert not await rig.queue.redis.exists(rig.queue.keys.pending("acme/june/0"))


async def test_two_at_once_erase_everything_once(rig: Rig) -> None:
    await fill(rig)
    first, second = await asyncio.gather(*(rig.erasures.erase("acme", PERSON) for _ in range(2)))
    await rig.record_all()
    together = {name: first[name] + second[name] for name in STORES}
    assert together == {"records": 1, "outbox": 1, "queue": 2, "later": 1, "dead_letters": 4, "suppressions": 2}
    assert await rig.listed() == ["person1@example.com"]


async def test_wherever_it_broke_off_a_repeat_finishes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call to a store fails once, before or after it was done."""
    await fill(rig)
    chance = random.Random(5)
    for owner, error in ((rig.store, StoreDownError), (rig.queue, UnavailableError)):
        for name in _STORE_CALLS if owner is rig.store else _QUEUE_CALLS:
            monkeypatch.setattr(owner, name, _failing_once(getattr(owner, name), error("away"), chance))
    totals: dict[str, int] = dict.fromkeys(STORES, 0)
    for _ in range(20):
        try:
            answer = await rig.erasures.erase("acme", PERSON)
        except (StoreDownError, MorpheusError):
            continue
        totals = answer
        break
    assert set(totals) == set(STORES)
    await rig.erase()
    for _ in range(5):
        try:
            await rig.record_all()
            break
        except (StoreDownError, MorpheusError):
            rig.consumer._after = "0-0"
    assert await rig.listed() == ["person1@example.com"]
    assert len(list(rig.outbox.iterdir())) == 1
    assert len(await rig.queue.redis.xrange(rig.queue.keys.dead)) == 4
    assert not await rig.queue.redis.hlen(rig.queue.keys.later_blobs)


_STORE_CALLS = ("add_erasure", "messages_to", "erase", "erased", "forget_address", "tidy")
_QUEUE_CALLS = ("mark_erased", "erase_waiting", "replace_letter", "has_erased")


def _failing_once(call: Callable[..., Awaitable[Any]], error: Exception, chance: random.Random) -> Any:
    state: Sequence[str] = ["before", "after"]
    when = chance.choice(state)
    failed = False

    async def wrapper(*args: Any) -> Any:
        nonlocal failed
        answer = await call(*args) if failed or when == "after" else None
        if not failed:
            failed = True
            raise error
        return answer

    return wrapper


async def test_an_erasure_is_forgotten_when_nothing_from_before_is_kept(rig: Rig) -> None:
    await rig.erase()
    recipient = HASHER.hash("acme", PERSON)
    for seconds, known in ((365 * DAY_S, True), (400 * DAY_S, False)):
        clock = ManualClock(CLOCK.now_ms() + seconds * 1000)
        later = Erasures(
            rig.store, [rig.queue], HASHER, Outbox(""), clock, Retention(365 * DAY_S, {"brief": 40 * DAY_S})
        )
        for _ in range(2):
            await later.sweep()
        assert bool(await rig.store.erasures(None, 9)) is known
        assert (recipient in await rig.queue.erased("acme", [recipient])) is known


async def test_the_queue_s_file_is_written_anew_after_an_erasure(rig: Rig) -> None:
    june = Sender(rig.queue)
    await june.commit(1)
    await rig.erase(queue=1)
    await rig.record_all()
    await rig.erasures.erase("acme", PERSON)

    async def rewritten() -> bool:
        info = await rig.queue.redis.info("persistence")
        idle = not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]
        return idle and info["aof_last_bgrewrite_status"] == "ok" and info["aof_base_size"] > 0

    await until(rewritten, bool)
    folder = (await rig.queue.redis.config_get("dir"))["dir"]
    assert not any(b"Person0@" in path.read_bytes() for path in Path(folder).rglob("*.aof"))
