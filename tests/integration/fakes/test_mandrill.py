"""The Mandrill fake as the vendor's own client sees it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import mailchimp_transactional
import pytest
import requests
from mailchimp_transactional.api_client import ApiClientError

from fakes.mandrill import Mandrill
from tests.integration.fakes.receiver import Received, Receiver


@pytest.fixture
async def fake(receiver: Receiver) -> AsyncIterator[Mandrill]:
    """One that knows the key `good` and posts to the receiver."""
    async with Mandrill.serve(key="good", webhook_url=receiver.url) as fake:
        yield fake


async def call(fake: Mandrill, group: str, method: str, body: dict[str, Any], key: str = "good") -> Any:
    """One call by the vendor's client, which blocks; its object lives for one call, since it changes bodies."""
    client = mailchimp_transactional.Client(key)
    api = getattr(client, group)
    api.api_client.host = f"{fake.url}/api/1.0"
    ask: Callable[[dict[str, Any]], Any] = getattr(api, method)
    answer = await asyncio.to_thread(ask, body)
    # The client hands out the bare response where the answer is an empty list.
    return answer.json() if isinstance(answer, requests.Response) else answer


def message(*addresses: str, **more: Any) -> dict[str, Any]:
    """A message for these."""
    to = [{"email": address} for address in addresses]
    return {"message": {"from_email": "from@example.com", "subject": "Hello", "text": "Hi", "to": to, **more}}


def events(received: list[Received]) -> list[dict[str, Any]]:
    """The events of all webhooks; every signature is right."""
    found = []
    for webhook in received:
        form = dict(parse_qsl(webhook.body.decode()))
        text = webhook.url + "".join(f"{name}{value}" for name, value in sorted(form.items()))
        signature = base64.b64encode(hmac.digest(b"fake-webhook-key", text.encode(), hashlib.sha1)).decode()
        assert webhook.headers["X-Mandrill-Signature"] == signature
        found += json.loads(form["mandrill_events"])
    return found


async def test_message_is_taken_recorded_and_told_of(fake: Mandrill, receiver: Receiver) -> None:
    [answer] = await call(fake, "messages", "send", message("a@example.com", metadata={"ref": "r1"}))
    assert (answer["email"], answer["status"], answer["reject_reason"]) == ("a@example.com", "sent", None)
    [taken] = fake.messages
    assert (taken.id, taken.metadata, taken.content["text"]) == (answer["_id"], {"ref": "r1"}, "Hi")
    await fake.settled()
    told = events(receiver.received)
    assert [(event["event"], event["_id"], event["msg"]["metadata"]) for event in told] == [
        ("send", answer["_id"], {"ref": "r1"}),
        ("delivered", answer["_id"], {"ref": "r1"}),
    ]


async def test_key_is_checked(fake: Mandrill) -> None:
    assert await call(fake, "users", "ping", {}) == "PONG!"
    with pytest.raises(ApiClientError) as error:
        await call(fake, "users", "ping", {}, key="bad")
    assert (error.value.status_code, error.value.text["name"], error.value.text["code"]) == (401, "Invalid_Key", -1)


async def test_message_is_looked_up_by_id_and_by_metadata(fake: Mandrill) -> None:
    for reference in ("202611-001-aa", "202611-001-ab"):
        body = message(f"{reference}@example.com", metadata={"ref": reference})
        await call(fake, "messages", "send", body)
    [found] = await call(fake, "messages", "search", {"query": "u_ref:202611-001-ab"})
    assert found["email"] == "202611-001-ab@example.com"
    assert (await call(fake, "messages", "info", {"id": found["_id"]}))["metadata"] == {"ref": "202611-001-ab"}
    assert await call(fake, "messages", "search", {"query": 'u_ref:"202611-001-ab" AND email:other@example.com'}) == []
    with pytest.raises(ApiClientError) as error:
        await call(fake, "messages", "info", {"id": "0" * 32})
    assert error.value.text["name"] == "Unknown_Message"


async def test_subaccount_lives_from_add_to_delete(fake: Mandrill) -> None:
    with pytest.raises(ApiClientError) as error:
        await call(fake, "messages", "send", message("a@example.com", subaccount="acme"))
    assert (error.value.status_code, error.value.text["name"]) == (500, "Unknown_Subaccount")
    await call(fake, "subaccounts", "add", {"id": "acme", "name": "Acme"})
    assert (await call(fake, "subaccounts", "info", {"id": "acme"}))["name"] == "Acme"
    assert (await call(fake, "messages", "send", message("a@example.com", subaccount="acme")))[0]["status"] == "sent"
    with pytest.raises(ApiClientError) as again:
        await call(fake, "subaccounts", "add", {"id": "acme"})
    assert again.value.text["name"] == "ValidationError"
    await call(fake, "subaccounts", "delete", {"id": "acme"})
    assert await call(fake, "subaccounts", "list", {}) == []


async def test_search_lags_behind_when_told(fake: Mandrill) -> None:
    fake.search_lag_s = 60
    [sent] = await call(fake, "messages", "send", message("a@example.com"))
    assert await call(fake, "messages", "search", {"query": 'full_email:"a@example.com"'}) == []
    fake.search_lag_s = 0
    [found] = await call(fake, "messages", "search", {"query": 'full_email:"a@example.com"'})
    assert found["_id"] == sent["_id"]


@pytest.mark.parametrize(
    ("token", "status", "name"),
    [
        ("429.7", 429, "Too_Many_Requests"),
        ("500", 500, "GeneralError"),
        ("503", 503, "ServiceUnavailable"),
        ("error.ValidationError", 500, "ValidationError"),
        ("error.paymentrequired", 500, "PaymentRequired"),
        ("error.unknown_subaccount", 500, "Unknown_Subaccount"),
    ],
)
async def test_fault_is_answered_in_the_form_of_the_api(fake: Mandrill, token: str, status: int, name: str) -> None:
    with pytest.raises(ApiClientError) as error:
        await call(fake, "messages", "send", message(f"fault+{token}@example.com"))
    assert (error.value.status_code, error.value.text["name"], error.value.text["status"]) == (status, name, "error")
    assert fake.messages == []
    assert [(record.status, record.fault) for record in fake.calls] == [(status, fake.calls[0].fault)]


@pytest.mark.parametrize(("token", "taken"), [("reset", 0), ("reset-taken", 1)])
async def test_connection_is_reset_after_reading(fake: Mandrill, token: str, taken: int) -> None:
    with pytest.raises(requests.exceptions.ConnectionError, match="reset"):
        await call(fake, "messages", "send", message(f"fault+{token}@example.com"))
    assert len(fake.messages) == taken
    assert [record.status for record in fake.calls] == [None]


@pytest.mark.parametrize(("token", "taken"), [("hang", 0), ("hang-taken", 1)])
async def test_call_hangs_after_reading(fake: Mandrill, token: str, taken: int) -> None:
    body = message(f"fault+{token}@example.com") | {"key": "good"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.3)) as client:
        with pytest.raises(TimeoutError):
            await client.post(f"{fake.url}/api/1.0/messages/send.json", json=body)
    assert (len(fake.messages), len(fake.calls)) == (taken, 1)


async def test_gateway_failure_says_so_in_html_and_may_have_taken_the_message(fake: Mandrill) -> None:
    for token, taken in (("502", 0), ("504-taken", 1)):
        with pytest.raises(ApiClientError) as error:
            await call(fake, "messages", "send", message(f"fault+{token}@example.com"))
        assert error.value.text.startswith("<html>")
        assert len(fake.messages) == taken


async def test_one_recipient_is_refused_and_the_others_are_taken(fake: Mandrill) -> None:
    addresses = [
        "a@example.com",
        "fault+rejected.unsigned@example.com",
        "fault+invalid@x.example",
        "fault+queued@x.example",
    ]
    answers = await call(fake, "messages", "send", message(*addresses))
    assert [(answer["status"], answer["reject_reason"], answer["queued_reason"]) for answer in answers] == [
        ("sent", None, None),
        ("rejected", "unsigned", None),
        ("invalid", None, None),
        ("queued", None, "hourly-quota"),
    ]
    assert [taken.address for taken in fake.messages] == [addresses[0], addresses[3]]


async def test_outcomes_come_as_the_events_of_the_provider(fake: Mandrill, receiver: Receiver) -> None:
    for outcome, kinds in {
        "bounced": ["send", "hard_bounce"],
        "soft-bounced": ["send", "soft_bounce"],
        "clicked": ["send", "delivered", "open", "click"],
        "complained": ["send", "delivered", "spam"],
        "unsubscribed": ["send", "delivered", "unsub"],
        "deferred": ["send", "deferral", "delivered"],
        "refused": ["send", "reject"],
        "sent-only": ["send"],
        "silent": [],
        "duplicate": ["send", "send", "delivered", "delivered"],
    }.items():
        receiver.received.clear()
        await call(fake, "messages", "send", message(f"fault+{outcome}@example.com"))
        await fake.settled()
        assert [event["event"] for event in events(receiver.received)] == kinds, outcome


async def test_early_receipt_comes_before_the_answer(fake: Mandrill, receiver: Receiver) -> None:
    send = asyncio.create_task(call(fake, "messages", "send", message("fault+early+latency.1@example.com")))
    while not receiver.received:
        assert not send.done()
        await asyncio.sleep(0.001)
    await send


async def test_failed_webhook_is_recorded_and_not_repeated(fake: Mandrill, receiver: Receiver) -> None:
    receiver.status = 500
    await call(fake, "messages", "send", message("fault+sent-only@example.com"))
    await fake.settled()
    fake.webhook_url = "http://127.0.0.1:1/nobody"
    await call(fake, "messages", "send", message("fault+sent-only@example.com"))
    await fake.settled()
    assert len(receiver.received) == 1
    first, second = fake.records.deliveries
    assert (first.status, second.status) == (500, None)
    assert "ClientConnectorError" in second.error
