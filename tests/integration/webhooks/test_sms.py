"""Twilio and Bird through gateway and tracker, signed by the fakes: statuses, and texts of people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb

from fakes.base import HttpFake
from fakes.bird import Bird
from fakes.records import Message
from fakes.twilio import Twilio
from morpheus_kit.queue.scripts import Queue
from tests.integration.webhooks.rig import Group, Rig, running

NUMBER, SENDER = "+447700900001", "+447700900999"
NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000


@pytest.fixture(params=[Twilio, Bird])
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[HttpFake]:
    async with request.param.serve() as serving:
        yield serving


@pytest.fixture
async def rig(redis_url: str, queue: Queue, tmp_path: Path, fake: HttpFake) -> AsyncIterator[Rig]:
    settings = {"twilio_auth_token": "fake-auth-token"}
    if isinstance(fake, Bird):
        settings = {"bird_webhook_secret": fake.webhook_secret}
    async with running(redis_url, tmp_path, **settings) as running_rig:
        fake.webhook_url = f"{running_rig.url}/webhooks/{fake.name}"
        yield running_rig


def taken(fake: HttpFake, group: Group, identity: str) -> None:
    """A message as the fake has it when Morpheus has sent it."""
    callback = f"{fake.webhook_url}?ref={group.reference()}"
    metadata = {"reference": group.reference()}
    content = {"text": "Hello", "Body": "Hello", "StatusCallback": callback, "metadata": metadata}
    fake.records.add_message(Message(identity, group.addresses[0], group.sender, "", time.time(), content, metadata))


async def told(fake: HttpFake, *orders: dict[str, str]) -> None:
    for order in orders:
        fake.inject(order)
    await fake.settled()
    assert {delivery.status for delivery in fake.records.deliveries} == {200}


async def test_a_status_settles_a_message_in_doubt_and_the_same_again_changes_nothing(
    rig: Rig, queue: Queue, fake: HttpFake
) -> None:
    group = Group(queue, method="sms", sender=SENDER, addresses=[NUMBER])
    await group.post()
    await group.send_into_doubt()
    taken(fake, group, "SM1")
    await told(fake, {"id": "SM1", "event": "delivered"})
    found = await rig.until(group, lambda message: message.state == "delivered")
    assert sorted(event.type for event in found.events) == ["delivered", "queued", "sent", "uncertain"]
    assert (found.external_id, found.provider) == ("SM1", fake.name)
    if isinstance(fake, Twilio):
        # It names no time, and what it told before keeps the time at which it was told first.
        await asyncio.sleep(0.01)
        await told(fake, {"id": "SM1", "event": "delivered"})
    await told(fake, {"id": "SM1", "event": "bounced"})
    after = await rig.until(group, lambda message: message.state == "bounced")
    assert (after.bounce_type, after.delivered_at) == ("hard", found.delivered_at)
    assert [event.type for event in after.events].count("delivered") == 1


async def test_stop_suppresses_for_everybody_who_texted_lately_from_that_sender_and_start_lifts_it(
    rig: Rig, queue: Queue, fake: HttpFake
) -> None:
    groups = {
        "acme": Group(queue, "acme", "new", "sms", SENDER, [NUMBER], NOW_MS),
        "books": Group(queue, "books", "new", "sms", SENDER, ["0044 7700 900001"], NOW_MS - 89 * DAY_MS),
        "cafe": Group(queue, "cafe", "old", "sms", SENDER, [NUMBER], NOW_MS - 91 * DAY_MS),
        "dance": Group(queue, "dance", "new", "sms", "+447700900888", [NUMBER], NOW_MS),
        "earth": Group(queue, "earth", "new", "sms", SENDER, ["+447700900002"], NOW_MS),
    }
    older = Group(queue, "acme", "older", "sms", SENDER, [NUMBER], NOW_MS - DAY_MS)
    for group in (*groups.values(), older):
        await group.post()
        await group.record()
    for group in (*groups.values(), older):
        await rig.until(group, lambda message: message.state == "sent")
    inbound = {"event": "inbound", "from": NUMBER, "to": SENDER}
    await told(fake, inbound | {"body": "Stop."})
    for company in ("acme", "books"):
        found = await rig.until(groups[company], lambda message: message.state == "unsubscribed")
        assert found.reason.code == "unsubscribed"
    assert (await rig.message(older)).state == "sent"
    # In every stream by the text itself, and in its own by the event that the record has of it.
    both = {("acme", ""), ("acme", "transactional"), ("books", ""), ("books", "transactional")}
    async with asyncio.timeout(10):
        while await suppressed(rig, groups) != both:
            await asyncio.sleep(0.02)
    await told(fake, inbound | {"body": "see you"})
    assert await suppressed(rig, groups) == both
    await told(fake, inbound | {"body": "START"})
    assert await suppressed(rig, groups) == set()


async def suppressed(rig: Rig, groups: dict[str, Group]) -> set[tuple[str, str]]:
    """Companies, and the streams in which they must not write to the number; "" is every one."""
    found = set()
    for company in groups:
        answer = await rig.tracker.ListSuppressions(pb.ListSuppressionsRequest(company_code=company))
        found |= {(company, each.stream) for each in answer.suppressions}
    return found
