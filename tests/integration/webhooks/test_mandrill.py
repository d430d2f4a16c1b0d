"""Mandrill's webhook through gateway and tracker, signed by the fake."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb

from fakes import mandrill as fake_mandrill
from fakes.mandrill import Mandrill
from fakes.records import Message
from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.runner import GATE_MEMORY
from morpheus_kit.queue.scripts import Queue
from tests.integration.webhooks.rig import ACCEPTED_MS, Group, Rig, running

KEYS = ("old-key", "new-key")


@pytest.fixture
async def rig(redis_url: str, queue: Queue, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(redis_url, tmp_path, mandrill_webhook_keys=KEYS) as running_rig:
        yield running_rig


def event(word: str, reference: str, second: int = 60, **more: object) -> dict[str, object]:
    message = {"_id": "m1", "email": "ada@example.com", "metadata": {"reference": reference}} | more
    return {"event": word, "_id": "m1", "ts": ACCEPTED_MS // 1000 + second, "msg": message}


def signed(rig: Rig, events: object, key: str = "new-key", query: str = "") -> tuple[bytes, dict[str, str]]:
    fields = {"mandrill_events": events if isinstance(events, str) else json.dumps(events)}
    signature = fake_mandrill.sign(key, f"{rig.url}/webhooks/mandrill{query}", fields)
    headers = {"content-type": "application/x-www-form-urlencoded", "x-mandrill-signature": signature}
    return urlencode(fields).encode(), headers


async def test_the_fakes_own_webhook_settles_a_message_in_doubt(rig: Rig, queue: Queue) -> None:
    group = Group(queue, addresses=["ada@example.com", "bob@example.com"])
    await group.post()
    await group.send_into_doubt()
    async with Mandrill.serve(webhook_url=f"{rig.url}/webhooks/mandrill", webhook_key="old-key") as fake:
        metadata = {"reference": group.reference(0)}
        fake.records.add_message(Message("m1", "ada@example.com", group.sender, "", 1.0, {}, metadata))
        fake.inject({"id": "m1", "event": "delivered"})
        await fake.settled()
        assert [delivery.status for delivery in fake.records.deliveries] == [200]
    found = await rig.until(group, lambda message: message.state == "delivered")
    assert {each.type for each in found.events} == {"queued", "uncertain", "sent", "delivered"}
    assert (found.provider, found.external_id) == ("mandrill", "m1")
    state = await queue.group_state("acme/june")
    assert state is not None
    assert (state["uncertain"], state["ended"]) == (b"1", b"1")


async def test_a_repeated_batch_has_one_effect_and_a_bad_event_spoils_nothing(rig: Rig, queue: Queue) -> None:
    group = Group(queue)
    await group.post()
    await group.record()
    events = [
        event("delivered", group.reference(), 1),
        {"event": "delivered", "ts": "never", "msg": []},
        event("teleported", group.reference(), 2),
        event("hard_bounce", group.reference(), 3, diag="smtp;550 5.1.1 <ada@example.com> unknown", bgtools_code=10),
        event("delivered", "somebody-elses", 4),
        event("delivered", group.reference().replace("-000-", "-007-"), 4),
        event("open", group.reference(), 5),
    ]
    body, headers = signed(rig, events)
    answers = [(await rig.post("mandrill", body, headers)).status_code for _ in range(46)]
    assert set(answers) == {200}
    found = await rig.until(group, lambda message: len(message.events) >= 6)
    types = [each.type for each in found.events]
    assert types == ["queued", "sent", "delivered", "mandrill.teleported", "hard_bounced", "opened"]
    assert (found.state, found.bounce_type, found.reason.code) == ("bounced", "hard", "bounced")
    assert found.reason.text == "smtp;550 5.1.1 <…> unknown"
    assert found.delivered_at.ToMilliseconds() == ACCEPTED_MS + 1000


async def test_an_event_before_its_record_is_seen_when_the_record_comes(rig: Rig, queue: Queue) -> None:
    group = Group(queue)
    await group.post()
    body, headers = signed(rig, [event("delivered", group.reference())])
    assert (await rig.post("mandrill", body, headers)).status_code == 200
    other = Group(queue, group_id="other")
    await other.post()
    await other.record()
    await rig.until(other, lambda message: message.state == "sent")
    listed = await rig.tracker.ListMessages(pb.ListMessagesRequest(company_code="*"))
    assert [message.group_id for message in listed.messages] == ["other"]
    await group.record()
    found = await rig.until(group, lambda message: message.state == "delivered")
    assert [each.type for each in found.events] == ["queued", "sent", "delivered"]


async def test_what_is_forged_or_cannot_be_read_leaves_nothing(rig: Rig, queue: Queue) -> None:
    group = Group(queue)
    body, headers = signed(rig, [event("delivered", group.reference())], key="not-a-key")
    answer = await rig.post("mandrill", body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert (await rig.post("mandrill", body, {})).status_code == 401
    # The address that was called counts, not the one that a header speaks of.
    body, headers = signed(rig, [event("delivered", group.reference())])
    assert (await rig.post("mandrill", body, headers, query="?a=b")).status_code == 401
    elsewhere = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    empty, signature = signed(rig, [])
    assert (await rig.post("mandrill", empty, signature | elsewhere)).status_code == 200
    for text in ("not json", '{"no": "list"}', ""):
        body, headers = signed(rig, text)
        answer = await rig.post("mandrill", body, headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    body, headers = signed(rig, [], query="?from=mandrill%20x")
    assert (await rig.post("mandrill", body, headers, query="?from=mandrill%20x")).status_code == 200
    assert (await queue.redis.xinfo_stream(queue.keys.outcomes))["entries-added"] == 0


async def test_a_provider_without_a_key_and_one_that_nobody_knows_are_not_found(rig: Rig) -> None:
    assert (await rig.post("bird", b"{}", {})).status_code == 404
    assert (await rig.http.post("/webhooks/sendgrid", content=b"{}")).status_code == 422
    assert (await rig.http.head("/webhooks/mandrill")).status_code == 200
    assert (await rig.post("mandrill", b"x" * (17 * 1024 * 1024), {})).status_code == 413


async def test_nothing_is_answered_with_200_before_it_is_durable(rig: Rig, queue: Queue) -> None:
    group = Group(queue)
    body, headers = signed(rig, [event("delivered", group.reference())])
    await queue.redis.config_set("maxmemory", "1000000")
    try:
        answer = await rig.post("mandrill", body, headers)
    finally:
        await queue.redis.config_set("maxmemory", "500mb")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await queue.redis.xlen(queue.keys.outcomes) == 0


async def test_receipts_have_room_where_sending_has_none_left(rig: Rig, queue: Queue) -> None:
    body, headers = signed(rig, [event("delivered", Group(queue).reference())])
    used = (await queue.redis.info("memory"))["used_memory"]
    await queue.redis.config_set("maxmemory", str(int(used / 0.9)))
    try:
        with pytest.raises(UnavailableError):
            await Queue(queue.redis, 0, replicas=0, aof_always=True).check_memory(GATE_MEMORY)
        answer = await rig.post("mandrill", body, headers)
    finally:
        await queue.redis.config_set("maxmemory", "500mb")
    assert answer.status_code == 200
