"""SES through SNS into gateway and tracker, signed by the fake, whose certificate is fetched from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.records import Message
from fakes.ses import Ses
from morpheus_kit.queue.scripts import Queue
from tests.integration.webhooks.rig import Group, Rig, running


@pytest.fixture(params=[1, 2])
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[Ses]:
    async with Ses.serve() as serving:
        serving.topic.version = request.param
        yield serving


@pytest.fixture
async def rig(redis_url: str, queue: Queue, tmp_path: Path, fake: Ses) -> AsyncIterator[Rig]:
    settings = {"ses_topic_arns": fake.topic.arn, "sns_cert_hosts": f"127.0.0.1:{fake.port}"}
    async with running(redis_url, tmp_path, **settings) as running_rig:
        fake.webhook_url = f"{running_rig.url}/webhooks/ses"
        yield running_rig


async def test_a_subscription_is_confirmed_and_its_events_settle_a_message_in_doubt(
    rig: Rig, queue: Queue, fake: Ses
) -> None:
    group = Group(queue, method="ses")
    await group.post()
    await group.send_into_doubt()
    message = Message(
        "0100", "ada@example.com", group.sender, "", 1_790_000_000.0, {}, {"reference": group.reference()}
    )
    fake.records.add_message(message)
    fake.inject({"event": "subscribe"})
    await fake.settled()
    assert fake.topic.token == ""
    for event in ("delivered", "delivered", "bounced", "clicked"):
        fake.inject({"id": "0100", "event": event})
    await fake.settled()
    assert {delivery.status for delivery in fake.records.deliveries} == {200}
    found = await rig.until(group, lambda message: message.state == "bounced")
    assert (found.bounce_type, found.external_id, found.provider) == ("hard", "0100", "ses")
    assert {"uncertain", "sent", "delivered", "hard_bounced", "clicked"} <= {event.type for event in found.events}
    assert "ada@example.com" not in found.reason.text


async def test_what_is_forged_leaves_nothing(rig: Rig, queue: Queue, fake: Ses) -> None:
    now = fake.records.clock()
    good = fake.topic.notification({"eventType": "Open", "mail": {}}, now, fake.url)
    cases = [
        good | {"Message": "{}"},
        good | {"SigningCertURL": f"http://127.0.0.1:{fake.port + 1}/x.pem"},
        good | {"SigningCertURL": f"{fake.url}/nowhere.pem"},
        good | {"TopicArn": good["TopicArn"] + "-other"},
    ]
    for case in cases:
        assert (await rig.post("ses", json.dumps(case).encode(), {})).status_code == 401
    assert (await rig.post("ses", json.dumps(good).encode(), {"x-amz-sns-rawdelivery": "true"})).status_code == 401
    assert (await rig.post("ses", json.dumps(good).encode(), {})).status_code == 400
    assert (await queue.redis.xinfo_stream(queue.keys.outcomes))["entries-added"] == 0


async def test_an_outage_of_sns_is_answered_with_503_so_that_it_is_told_again(
    rig: Rig, queue: Queue, fake: Ses
) -> None:
    now = fake.records.clock()
    message = {"eventType": "Open", "mail": {"timestamp": "2026-09-21T10:00:00Z"}, "open": {}}
    notification = json.dumps(fake.topic.notification(message, now, fake.url)).encode()
    url, fake.webhook_url = fake.webhook_url, ""
    assert url
    await fake.stop()
    await asyncio.sleep(0)
    assert (await rig.post("ses", notification, {})).status_code == 503
