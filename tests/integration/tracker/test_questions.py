"""What the tracker answers over gRPC."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import msgspec
import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb
from redis.asyncio import Redis

from morpheus_kit import errors
from morpheus_kit.queue.scripts import Queue
from tests.integration.tracker.rig import ACCEPTED_MS, Sender, failure, until


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


async def test_watchers_share_and_one_too_many_is_refused(tracker: Any, sender: Sender) -> None:
    stub = await tracker(watchers=2)
    await sender.commit(1)
    request = pb.WatchGroupRequest(company_code="acme", group_id="june")
    one, two = stub.WatchGroup(request), stub.WatchGroup(request)
    states = aiter(two)
    assert [(await anext(each)).group.control for each in (aiter(one), states)] == ["running"] * 2
    refused = await failure(anext(aiter(stub.WatchGroup(request))))
    assert isinstance(refused, errors.ThrottledError)
    assert "2 watchers" in str(refused)
    one.cancel()

    async def come() -> Any:
        try:
            return await anext(aiter(stub.WatchGroup(request)))
        except grpc.aio.AioRpcError:
            return None

    await until(come, lambda answer: answer is not None)
    await sender.send(0)
    async for answer in states:
        last = answer.group.control
    assert last == "finished"


async def test_group_that_left_the_queue_answers_from_the_records(tracker: Any, sender: Sender, redis: Redis) -> None:
    stub = await tracker()
    await sender.commit(2)
    await sender.send(0, 1)
    await until(lambda: redis.xlen(sender.queue.keys.outcomes), lambda length: length == 0)
    await redis.delete(sender.queue.keys.group("acme/june"))
    group = (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group
    assert (group.control, group.progress.ended, group.percent) == ("finished", 2, 100.0)


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
