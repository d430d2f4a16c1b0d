"""The Bird fake as the vendor's own client sees it, and its webhooks as Standard Webhooks' own library does."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from fakes.bird import Bird
from services.tracker.webhooks import bird as receipts
from tests.integration.fakes.receiver import Receiver

with warnings.catch_warnings():
    # The vendor's models shadow a name of their base.
    warnings.simplefilter("ignore", UserWarning)
    import bird
    from bird._generated import SMSErrorCode, SMSEventType

SENDER = "Example"
NUMBER = "+447911123456"
PATH = "/v1/sms/messages"
BODY = {"to": NUMBER, "from": SENDER, "text": "Hi", "category": "transactional", "metadata": {"ref": "r1"}}
HEADERS = {"Authorization": "Bearer good", "User-Agent": "test"}


@pytest.fixture
async def fake(receiver: Receiver) -> AsyncIterator[Bird]:
    """One that knows the key `good` and posts to the receiver."""
    async with Bird.serve(key="good", webhook_url=receiver.url) as fake:
        yield fake


@pytest.fixture
async def http(fake: Bird) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that adds nothing of its own."""
    async with aiohttp.ClientSession(fake.url, skip_auto_headers={"User-Agent"}) as http:
        yield http


async def send(fake: Bird, to: str = NUMBER, *, api_key: str = "good", options: Any = None) -> Any:
    """By the vendor's client; it may not retry."""

    def go() -> Any:
        with bird.Bird(api_key=api_key, base_url=fake.url, max_retries=0, timeout=0.5) as client:
            return client.sms.send(
                to=to,
                from_=SENDER,
                text="Hi",
                category="transactional",
                metadata={"ref": "r1"},
                options=options or None,
            )

    return await asyncio.to_thread(go)


def told(fake: Bird, receiver: Receiver) -> list[dict[str, Any]]:
    """The events of all webhooks; both libraries take every signature and the vendor's knows every type."""
    client = bird.Bird(api_key="good", base_url=fake.url, webhook_secret=fake.webhook_secret)
    found = []
    for webhook in receiver.received:
        body: dict[str, Any] = Webhook(fake.webhook_secret).verify(webhook.body, webhook.headers)
        event = client.webhooks.unwrap(webhook.body, webhook.headers).root
        assert type(event).__name__.startswith("EventSMS")
        found.append(body)
    return found


async def test_text_is_taken_recorded_and_told_of(fake: Bird, receiver: Receiver) -> None:
    sent = await send(fake)
    assert (sent.status.value, sent.segments.count, sent.metadata) == ("accepted", 1, {"ref": "r1"})
    [taken] = fake.messages
    assert (taken.id, taken.address, taken.metadata) == (sent.id, NUMBER, {"ref": "r1"})
    await fake.settled()
    events = told(fake, receiver)
    assert [event["type"] for event in events] == ["sms.sent", "sms.delivered"]
    assert {(event["data"]["sms_id"], event["data"]["metadata"]["ref"]) for event in events} == {(sent.id, "r1")}

    def read() -> Any:
        with bird.Bird(api_key="good", base_url=fake.url) as client:
            return client.sms.get(sent.id), list(client.sms.list(to=NUMBER))

    got, listed = await asyncio.to_thread(read)
    assert (got.status.value, got.cost.amount, [item.id for item in listed]) == ("delivered", "0.04000", [sent.id])


async def test_same_key_has_the_same_answer_and_sends_once(fake: Bird, http: aiohttp.ClientSession) -> None:
    headers = HEADERS | {"Idempotency-Key": "k1"}
    first = await http.post(PATH, json=BODY, headers=headers)
    second = await http.post(PATH, json=BODY, headers=headers)
    assert (first.status, second.status) == (202, 202)
    assert await first.read() == await second.read()
    assert ("Idempotency-Replay" in first.headers, second.headers["Idempotency-Replay"]) == (False, "true")
    other = await http.post(PATH, json=BODY | {"text": "Other"}, headers=headers)
    assert (other.status, (await other.json())["error"]["code"]) == (409, "E01005")
    assert len(fake.messages) == 1


async def test_lost_answer_is_settled_by_the_same_key(fake: Bird) -> None:
    for number in ("+447700900111", "+447700900113", "+447700900117"):
        with pytest.raises(bird.APIError):
            await send(fake, number, options={"idempotency_key": number})
        assert (await send(fake, number, options={"idempotency_key": number})).status.value == "accepted"
    assert len(fake.messages) == 3


async def test_failed_call_is_made_anew_with_the_same_key(fake: Bird) -> None:
    for number in ("+447700900114", "+447700900115", NUMBER):
        fake.faults.order(NUMBER, "reset", times=1)
        with pytest.raises(bird.APIError):
            await send(fake, number, options={"idempotency_key": number})
        assert fake.records.counts["messages"] == 0
        assert (await send(fake, number, options={"idempotency_key": number})).status.value == "accepted"
        fake.reset()


async def test_key_in_flight_is_a_conflict(fake: Bird, http: aiohttp.ClientSession) -> None:
    headers = HEADERS | {"Idempotency-Key": "k1"}
    body = BODY | {"to": "+447700900109"}
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(http.post(PATH, json=body, headers=headers))
        while not fake.calls:
            await asyncio.sleep(0.001)
        second = await http.post(PATH, json=body, headers=headers)
        assert (second.status, (await second.json())["error"]["code"]) == (409, "E01004")
    assert (await first).status == 202
    assert len(fake.messages) == 1


async def test_abandoned_call_frees_its_key(fake: Bird, http: aiohttp.ClientSession) -> None:
    headers, body = HEADERS | {"Idempotency-Key": "k1"}, BODY | {"to": "+447700900110"}
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await http.post(PATH, json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=0.2))
        async with asyncio.timeout(5):
            while fake.calls[-1].duration_ms == 0:
                await asyncio.sleep(0.01)
    assert (len(fake.calls), fake.messages) == (2, [])


@pytest.mark.parametrize(
    ("headers", "body", "status", "kind"),
    [
        ({"Authorization": "Bearer bad"}, {}, 401, "auth_error"),
        ({"User-Agent": ""}, {}, 403, "permission_error"),
        ({"Idempotency-Key": ""}, {}, 400, "bad_request_error"),
        ({}, {"to": "123"}, 422, "validation_error"),
        ({}, {"category": "other"}, 422, "validation_error"),
        ({}, {"text": ""}, 422, "validation_error"),
    ],
)
async def test_bad_call_is_refused(
    fake: Bird, http: aiohttp.ClientSession, headers: dict[str, str], body: dict[str, str], status: int, kind: str
) -> None:
    given = {**HEADERS, "Idempotency-Key": "k1", **headers}
    response = await http.post(PATH, json=BODY | body, headers={name: value for name, value in given.items() if value})
    error = (await response.json())["error"]
    assert (response.status, error["type"], fake.messages) == (status, kind, [])
    assert error["request_id"] == response.headers["X-Request-Id"]


async def test_faults_raise_the_errors_of_the_vendor(fake: Bird) -> None:
    fake.faults.order(NUMBER, "429.7", times=1)
    with pytest.raises(bird.RateLimitError) as limited:
        await send(fake)
    assert limited.value.retry_after == 7
    for fault, status, kind in (
        ("500", 500, "internal_error"),
        ("503", 503, "service_unavailable_error"),
        ("error.insufficientbalance", 402, "billing_error"),
        ("error.Forbidden", 403, "permission_error"),
    ):
        fake.faults.clear()
        fake.faults.order(NUMBER, fault)
        with pytest.raises(bird.APIStatusError) as error:
            await send(fake)
        assert (error.value.status_code, error.value.type) == (status, kind)


async def test_outcomes_come_as_the_events_of_the_provider(fake: Bird, receiver: Receiver) -> None:
    for number, kinds in {
        "103": [("sms.sent", None), ("sms.failed", "invalid_destination")],
        "104": [("sms.sent", None), ("sms.undelivered", "unreachable")],
        "105": [("sms.sent", None), ("sms.delivered", None), ("sms.received", None)],
        "106": [("sms.sent", None), ("sms.rejected", "content_rejected")],
        "102": [],
    }.items():
        receiver.received.clear()
        await send(fake, f"+447700900{number}")
        await fake.settled()
        events = told(fake, receiver)
        assert [(event["type"], event["data"].get("error", {}).get("code")) for event in events] == kinds, number


async def test_message_is_rejected_while_it_is_taken(fake: Bird) -> None:
    fake.faults.order(NUMBER, "rejected.recipient_opted_out")
    answer = await send(fake)
    assert (answer.status.value, answer.last_error.code.value, fake.messages) == ("rejected", "recipient_opted_out", [])
    fake.faults.clear()
    fake.faults.order(NUMBER, "invalid")
    with pytest.raises(bird.ValidationError) as error:
        await send(fake)
    assert (error.value.name, error.value.details[0].param) == ("SMSInvalidRecipient", "to")


async def test_repeated_receipt_has_the_same_webhook_id(fake: Bird, receiver: Receiver) -> None:
    await send(fake, "+447700900108")
    await fake.settled()
    identities = [webhook.headers["webhook-id"] for webhook in receiver.received]
    assert (len(identities), len(set(identities))) == (4, 2)


async def test_text_comes_in(fake: Bird, http: aiohttp.ClientSession, receiver: Receiver) -> None:
    await http.post("/_fake/events", json={"event": "inbound", "from": NUMBER, "to": "+447700900000", "body": "STOP"})
    await fake.settled()
    [event] = told(fake, receiver)
    assert (event["type"], event["data"]["from"], event["data"]["text"]) == ("sms.received", NUMBER, "STOP")
    assert json.loads(receiver.received[0].body) == event


def test_the_words_of_the_vendors_model_have_a_meaning_for_the_record() -> None:
    assert {f"sms.{event.value}" if "." not in event.value else event.value for event in SMSEventType} <= (
        set(receipts.TYPES) | {receipts.RECEIVED}
    )
    assert {code.value for code in SMSErrorCode} - set(receipts.CODES) == {"unknown"}
