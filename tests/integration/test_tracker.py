"""The tracker as a whole: a real Valkey, a real file, real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
import msgspec
import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb
from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub
from redis.asyncio import Redis

from morpheus_kit import errors, ids
from morpheus_kit.config import ConfigError
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.keys import TRACKERS
from morpheus_kit.queue.outcomes import array_header, pack_records
from morpheus_kit.queue.schema import Event, GroupRecord, MessageRecord, QueuedMessage, SharedInfo, pack
from morpheus_kit.queue.scripts import CommitPart, Queue
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from morpheus_kit.rpc.status import from_rpc_error
from services.tracker.app import build
from services.tracker.config import Config
from services.tracker.store.base import StoreDownError
from services.tracker.store.sqlite import SqliteStore

T = TypeVar("T")
MONTH = "202606"
ACCEPTED_MS = 1_780_000_000_000
SECRET = "0123456789abcdef"


class Sender:
    """What intake and dispatcher would have put into the queue."""

    def __init__(self, queue: Queue, company: str = "acme", group_id: str = "june") -> None:
        self.queue = queue
        self.prefix = ids.reference_prefix(MONTH, 0, company, group_id)
        self.shared = SharedInfo(
            1,
            company,
            group_id,
            "test",
            "test",
            "letter.html",
            "outer.html",
            "Hello {{ first_name }}",
            from_address="Shop <shop@example.com>",
            tags=["summer"],
            reference_prefix=self.prefix,
        )

    def message_id(self, index: int) -> str:
        return ids.message_id(self.shared.company_code, self.shared.group_id, 0, index)

    def reference(self, index: int) -> str:
        return f"{self.prefix}-{self.message_id(index)}"

    def blob(self, index: int) -> bytes:
        return pack(
            QueuedMessage(
                1,
                self.message_id(index),
                index,
                0,
                ACCEPTED_MS,
                f"Person{index}@Example.com",
                "Zoë",
                f"Ångström{index}",
                tags=[f"n{index}"],
                context=msgspec.Raw(msgspec.msgpack.encode({"n": index})),
            )
        )

    async def commit(self, total: int, *, record_group: bool = True) -> None:
        """The part as intake commits it."""
        shared = self.shared
        part = f"{shared.company_code}/{shared.group_id}/0"
        elements = [pack_element(self.message_id(index), self.blob(index)) for index in range(total)]
        await self.queue.stage(part, "r1", elements, 0)
        result = await self.queue.commit_part(
            CommitPart(
                part=part,
                group=f"{shared.company_code}/{shared.group_id}",
                request_id="r1",
                count=total,
                body_digest="b",
                shared_digest="s",
                shared_blob=pack(shared),
                method="test",
                priority="normal",
                send_ms=0,
                expires_ms=0,
                parts=0,
                total=total,
                rejected=0,
                reply=b"r",
                idem_ttl_s=1000,
                ref=self.prefix,
                month=MONTH,
                records=pack_records((), [self.group_record(total)]) if record_group else b"",
                events=[],
            )
        )
        assert result.kind == "committed"

    def group_record(self, total: int) -> GroupRecord:
        return GroupRecord(self.shared, 0, total, ACCEPTED_MS, "default")

    def record(self, index: int) -> MessageRecord:
        return MessageRecord(
            self.reference(index),
            self.shared.company_code,
            self.shared.group_id,
            self.blob(index),
            rendered=True,
            subject=f"Hello Zoë {index}",
            html=f"<p>Order {index}</p>",
            text=f"Order {index}",
        )

    async def send(self, *indexes: int, kinds: tuple[str, ...] = ("sent", "delivered")) -> None:
        """The outcome of a batch, as the dispatcher's commit writes it."""
        await self.add(
            records=pack_records([self.record(index) for index in indexes]),
            events=[self.event(index, kind) for index in indexes for kind in kinds],
        )

    def event(self, index: int, kind: str, **more: Any) -> Event:
        source = "us" if kind in {"sent", "failed", "rejected", "deferred", "uncertain", "cancelled"} else "test"
        attempt = 1 if source == "us" else 0
        return Event(self.reference(index), kind, attempt, ACCEPTED_MS + 1000, source, **more)

    async def add(self, records: bytes = b"", events: list[Event] | None = None) -> None:
        fields = {b"records": records} if records else {}
        if events:
            fields[b"events"] = array_header(len(events)) + b"".join(map(pack, events))
        await self.queue.redis.xadd(self.queue.keys.outcomes, fields)


@pytest.fixture
async def sender(queue: Queue) -> Sender:
    return Sender(queue)


@pytest.fixture
async def tracker(redis_url: str, queue: Queue, tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    """Starts trackers over one file, one after the other; each gives a stub."""
    stops: list[Callable[[], Any]] = []

    async def start() -> TrackerServiceStub:
        await stop()
        unit = await build(
            Config(
                tracker_addr="127.0.0.1:0",
                redis_url=redis_url,
                records_url=f"sqlite:///{tmp_path / 'records.db'}",
                token_secret=SECRET,
            )
        )
        stopping = asyncio.Event()
        serving = asyncio.create_task(unit.serve(stopping))
        server = next(part for part in unit.parts if isinstance(part, RpcServer))
        while server.port == 0:
            await asyncio.sleep(0.01)
            if serving.done():
                serving.result()
        channel = open_channel(f"127.0.0.1:{server.port}")

        async def end() -> None:
            await channel.close()
            stopping.set()
            await serving

        stops.append(end)
        return TrackerServiceStub(channel)

    async def stop() -> None:
        while stops:
            await stops.pop()()

    yield start
    await stop()


async def until(question: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Asks until the answer is the one that must come."""
    async with asyncio.timeout(10):
        while not holds(answer := await question()):
            await asyncio.sleep(0.02)
    return answer


async def failure(call: Any) -> errors.MorpheusError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_group_answers_at_once_and_goes_on_to_finished(tracker: Any, sender: Sender) -> None:
    stub = await tracker()
    await sender.commit(3)
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.control, group.total, group.progress.waiting, group.counts["queued"]) == ("running", 3, 3, 3)
    assert list(group.tags) == ["summer"]
    shared = msgspec.msgpack.decode(group.shared)
    assert (shared["inner_template"], shared["from_address"]) == ("letter.html", "Shop <shop@example.com>")

    await sender.send(0, 1)
    await sender.send(2, kinds=("failed",))

    async def ask() -> Any:
        return (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group

    group = await until(ask, lambda group: group.control == "finished")
    assert (group.counts["delivered"], group.counts["failed"], group.counts["queued"]) == (2, 1, 0)
    assert sum(group.counts.values()) == 3
    assert group.finished_at.ToMilliseconds() == ACCEPTED_MS + 1000


async def test_recorded_entries_leave_the_stream(tracker: Any, sender: Sender, redis: Redis) -> None:
    await sender.commit(1)
    await sender.send(0)
    await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    assert (await redis.xpending(sender.queue.keys.outcomes, TRACKERS))["pending"] == 0


async def test_message_has_everything(tracker: Any, sender: Sender) -> None:
    stub = await tracker()
    await sender.commit(1)
    await sender.send(0)
    request = pb.GetMessageRequest(company_code="acme", id=sender.message_id(0))

    async def ask() -> Any:
        try:
            return (await stub.GetMessage(request)).message
        except grpc.aio.AioRpcError:
            return None

    message = await until(ask, lambda message: message is not None)
    assert (message.state, message.address, message.last_name) == ("delivered", "Person0@Example.com", "Ångström0")
    assert (message.html, message.text, message.subject) == ("<p>Order 0</p>", "Order 0", "Hello Zoë 0")
    assert list(message.tags) == ["summer", "n0"]
    assert msgspec.msgpack.decode(message.context) == {"n": 0}
    assert [event.type for event in message.events] == ["queued", "sent", "delivered"]
    assert message.events[0].time.ToMilliseconds() == ACCEPTED_MS
    assert message.attempts == 1
    other = await failure(stub.GetMessage(pb.GetMessageRequest(company_code="other", id=sender.message_id(0))))
    assert isinstance(other, errors.NotFoundError)
    assert (await stub.GetMessage(pb.GetMessageRequest(company_code="*", id=sender.message_id(0)))).message.id


async def test_watch_ends_when_the_group_is_finished(tracker: Any, sender: Sender) -> None:
    stub = await tracker()
    await sender.commit(2)
    seen: list[pb.Group] = []

    async def watch() -> None:
        async for answer in stub.WatchGroup(pb.WatchGroupRequest(company_code="acme", group_id="june")):
            seen.append(answer.group)
            if len(seen) == 1:
                await sender.send(0, 1)

    async with asyncio.timeout(10):
        await watch()
    assert seen[0].counts["queued"] == 2
    assert seen[-1].control == "finished"


async def test_messages_that_ended_unrendered_are_recorded(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(3)
    stopped = await sender.queue.cancel("acme/june", "ops")
    assert stopped.stopped == 3
    await sender.queue.start_part("acme/june/0", "0-1", b"\x80")
    await sender.queue.take("c1", "n1", ["test"], 10, 1000)

    async def ask() -> Any:
        return (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group

    group = await until(ask, lambda group: group.control == "finished")
    assert group.counts["cancelled"] == 3
    assert [(each.type, each.key_id) for each in group.operations] == [("cancelled", "ops")]
    listed = await stub.ListMessages(pb.ListMessagesRequest(company_code="acme", state="cancelled"))
    assert {message.address for message in listed.messages} == {f"Person{index}@Example.com" for index in range(3)}
    assert {message.reason.code for message in listed.messages} == {"group_cancelled"}


async def test_outcomes_of_a_tracker_that_died_are_recorded_by_the_next(
    tracker: Any, sender: Sender, redis: Redis
) -> None:
    await sender.commit(1)
    await sender.send(0)
    taken = await redis.xreadgroup(TRACKERS, "dead-consumer", {sender.queue.keys.outcomes: ">"})
    assert taken
    await tracker()
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)


async def test_poison_goes_to_dead_and_the_others_go_on(tracker: Any, sender: Sender, redis: Redis) -> None:
    keys = sender.queue.keys
    await redis.xadd(keys.outcomes, {b"records": b"not zstd"})
    await redis.xadd(keys.outcomes, {b"events": b"\x91\xc1"})
    too_large = Event(sender.reference(1), "sent", 1, 2**63)
    await sender.add(events=[too_large])
    await sender.commit(1)
    await sender.send(0)
    stub = await tracker()
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 0)
    assert await redis.xlen(keys.dead) == 3
    assert len((await stub.ListMessages(pb.ListMessagesRequest(company_code="acme"))).messages) == 1


async def test_record_that_cannot_be_read_is_kept_stripped(tracker: Any, sender: Sender, redis: Redis) -> None:
    keys = sender.queue.keys
    await sender.commit(2)
    bad = MessageRecord(sender.reference(0), "acme", "june", b"\xc1")
    await sender.add(pack_records([bad, sender.record(1)]), [sender.event(0, "sent"), sender.event(1, "sent")])
    stub = await tracker()
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 0)
    assert await redis.xlen(keys.dead) == 1
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.counts["sent"], group.control) == (2, "finished")


async def test_store_that_is_down_loses_nothing(
    tracker: Any, sender: Sender, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sender.queue.keys
    down = True
    write = SqliteStore.write

    async def failing(self: SqliteStore, outcome: Any) -> Any:
        if down:
            raise StoreDownError("disk full")
        return await write(self, outcome)

    monkeypatch.setattr(SqliteStore, "write", failing)
    await sender.commit(2)
    stub = await tracker()
    await until(lambda: redis.xpending(keys.outcomes, TRACKERS), lambda pending: pending["pending"] == 1)
    await sender.send(0, 1)
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.total, group.counts["queued"]) == (2, 2)
    down = False
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 0)
    assert len((await stub.ListMessages(pb.ListMessagesRequest(company_code="acme"))).messages) == 2
    assert await redis.xlen(keys.dead) == 0


async def test_entry_of_a_newer_release_is_left_alone(tracker: Any, sender: Sender, redis: Redis) -> None:
    newer = msgspec.msgpack.encode([2, sender.message_id(0), 0, 0, ACCEPTED_MS, "a@example.com"])
    await sender.add(records=pack_records([MessageRecord(sender.reference(0), "acme", "june", newer)]))
    await sender.commit(1)
    await tracker()
    keys = sender.queue.keys
    await until(lambda: redis.xlen(keys.outcomes), lambda length: length == 1)
    await asyncio.sleep(0.1)
    assert (await redis.xlen(keys.outcomes), await redis.xlen(keys.dead)) == (1, 0)


async def test_group_that_left_the_queue_answers_from_the_records(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(2)
    await sender.send(0, 1)
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    await redis.delete(sender.queue.keys.group("acme/june"))
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.control, group.progress.ended, group.percent) == ("finished", 2, 100.0)


async def test_restarted_tracker_keeps_its_records(tracker: Any, sender: Sender, redis: Redis) -> None:
    await tracker()
    await sender.commit(2)
    await sender.send(0)
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    stub = await tracker()
    await sender.send(0, 1)
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    listed = await stub.ListMessages(pb.ListMessagesRequest(company_code="acme", query="zoe angstrom"))
    assert len(listed.messages) == 2
    assert not listed.messages[0].html


async def test_second_process_is_refused(tracker: Any, redis_url: str, tmp_path: Path) -> None:
    await tracker()
    unit = await build(
        Config(
            tracker_addr="127.0.0.1:0",
            redis_url=redis_url,
            records_url=f"sqlite:///{tmp_path / 'records.db'}",
            token_secret=SECRET,
        )
    )
    with pytest.raises(ConfigError, match="another process"):
        await unit.serve(asyncio.Event())
    await unit.parts[0].stop()


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param("q", {"query": "--"}, id="query without a word"),
        pytest.param("state", {"state": "lost"}, id="state"),
        pytest.param("reason", {"reason": "lost"}, id="reason"),
        pytest.param("method", {"method": "pigeon"}, id="method"),
        pytest.param("stream", {"stream": "News Letter"}, id="stream"),
        pytest.param("page_size", {"page_size": 201}, id="page too large"),
        pytest.param("page_size", {"page_size": -1}, id="page too small"),
        pytest.param("page_token", {"page_token": "AAAA"}, id="page token"),
        pytest.param("company_code", {"company_code": ""}, id="company"),
    ],
)
async def test_question_that_makes_no_sense_names_its_field(tracker: Any, path: str, fields: dict[str, Any]) -> None:
    stub = await tracker()
    error = await failure(stub.ListMessages(pb.ListMessagesRequest(**{"company_code": "acme", **fields})))
    assert isinstance(error, errors.InvalidInputError)
    assert [violation.path for violation in error.violations] == [path]


async def test_pages_follow_each_other_and_belong_to_their_question(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(5)
    await sender.send(*range(5))
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    found: list[str] = []
    token = ""
    while True:
        page = await stub.ListMessages(pb.ListMessagesRequest(company_code="acme", page_size=2, page_token=token))
        found += [message.id for message in page.messages]
        token = page.next_page_token
        if not token:
            break
        error = await failure(
            stub.ListMessages(pb.ListMessagesRequest(company_code="acme", state="delivered", page_token=token))
        )
        assert [violation.path for violation in error.violations] == ["page_token"]
    assert sorted(found) == sorted(sender.message_id(index) for index in range(5))


async def test_inputs_are_those_of_messages_that_can_be_sent_again(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(6)
    await sender.send(0, kinds=())
    await sender.add(events=[sender.event(0, "failed", reason_code="bounced")])
    await sender.send(1, kinds=("failed",))
    await sender.send(2, kinds=("deferred",))
    await sender.send(3, kinds=())
    await sender.add(events=[sender.event(3, "rejected", reason_code="address_invalid")])
    bad = MessageRecord(sender.reference(4), "acme", "june", b"\xc1")
    await sender.add(pack_records([bad]), [sender.event(4, "failed")])
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)

    async def read(**fields: Any) -> set[bytes]:
        answers = [each async for each in stub.ReadInputs(pb.ReadInputsRequest(company_code="acme", **fields))]
        assert {each.shared for each in answers} == {pack(sender.shared)}
        return {message for each in answers for message in each.messages}

    async def refusal(**fields: Any) -> type[errors.MorpheusError]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read(**fields)
        return type(from_rpc_error(caught.value))

    assert await read(message_id=sender.message_id(1)) == {sender.blob(1)}
    assert await read(group_id="june") == {sender.blob(0), sender.blob(1)}
    assert await read(group_id="june", reasons=["bounced"]) == {sender.blob(0)}
    for index in (2, 3, 4):  # still under way; its address is impossible; its record was kept stripped
        assert await refusal(message_id=sender.message_id(index)) is errors.ConflictError
    assert await refusal(group_id="june", states=["rejected"]) is errors.ConflictError
    assert await refusal(group_id="june", states=["deferred"]) is errors.InvalidInputError
    assert await refusal(group_id="june", reasons=["lost"]) is errors.InvalidInputError
    assert await refusal(group_id="none") is errors.NotFoundError


async def test_groups_are_listed_newest_first(tracker: Any, queue: Queue, redis: Redis) -> None:
    stub = await tracker()
    for name in ("a", "b", "c"):
        await Sender(queue, group_id=name).commit(1)
    await Sender(queue, company="other", group_id="x").commit(1)
    await until(lambda: redis.xlen(queue.keys.outcomes), lambda length: length == 0)
    first = await stub.ListGroups(pb.ListGroupsRequest(company_code="acme", page_size=2))
    rest = await stub.ListGroups(
        pb.ListGroupsRequest(company_code="acme", page_size=2, page_token=first.next_page_token)
    )
    assert len(first.groups) == 2
    assert sorted(group.group_id for group in [*first.groups, *rest.groups]) == ["a", "b", "c"]
    assert not rest.next_page_token
    everyone = await stub.ListGroups(pb.ListGroupsRequest(company_code="*", tag="summer", method="test"))
    assert len(everyone.groups) == 4
