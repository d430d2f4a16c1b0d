"""Bird's webhook, signed by the Standard Webhooks library; the words are those of the vendor's own model."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from morpheus_kit.errors import MalformedError, UnauthenticatedError
from morpheus_kit.signing import decode_secret
from services.tracker.states import KINDS
from services.tracker.webhooks import bird
from services.tracker.webhooks.base import Inbound

NOW = 1_790_000_000
REFERENCE = "202609-000-0a1b2c3d-7d9f4d1c-2c59-5d3e-8a54-0a5c8f3a9e11"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()


def told(word: str, **data: Any) -> bytes:
    found = {
        "sms_id": "sms_1",
        "to": "+447700900001",
        "from": "ACME",
        "metadata": {"reference": REFERENCE},
        "tags": None,
    }
    return json.dumps({"type": word, "timestamp": "2026-09-21T10:00:00.123Z", "data": found | data}).encode()


def signed(body: bytes, secret: str = SECRET, at: int = NOW) -> Inbound:
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(at, UTC), body.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}
    return Inbound("/webhooks/bird", headers, body)


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_the_librarys_signature_is_genuine(secret: str) -> None:
    bird.verify(signed(told("sms.sent"), secret), [decode_secret(SECRET), decode_secret(OTHER)], NOW + 299)


@pytest.mark.parametrize(
    "request_",
    [
        signed(told("sms.sent"), OTHER),
        signed(told("sms.sent"))._replace(body=told("sms.delivered")),
        signed(told("sms.sent"), at=NOW - 301),
        signed(told("sms.sent"), at=NOW + 301),
        signed(told("sms.sent"))._replace(headers={}),
        signed(told("sms.sent"))._replace(body=b"\xff"),
    ],
)
def test_what_is_forged_or_old_is_refused(request_: Inbound) -> None:
    with pytest.raises(UnauthenticatedError):
        bird.verify(request_, [decode_secret(SECRET)], NOW)


@pytest.mark.parametrize(
    ("word", "code", "type_"),
    [
        ("sms.accepted", "", "sent"),
        ("sms.sent", "", "sent"),
        ("sms.delivered", "", "delivered"),
        ("sms.undelivered", "unreachable", "soft_bounced"),
        ("sms.undelivered", "unknown", "soft_bounced"),
        ("sms.undelivered", "invalid_destination", "hard_bounced"),
        ("sms.failed", "invalid_destination", "hard_bounced"),
        ("sms.failed", "landline_unreachable", "hard_bounced"),
        ("sms.failed", "blocked_by_carrier", "refused"),
        ("sms.failed", "made_up_tomorrow", "soft_bounced"),
        ("sms.failed", "", "soft_bounced"),
        ("sms.expired", "unreachable", "soft_bounced"),
        ("sms.rejected", "content_rejected", "refused"),
        ("sms.rejected", "made_up_tomorrow", "refused"),
        ("sms.rejected", "recipient_opted_out", "unsubscribed"),
    ],
)
def test_word_and_code_have_our_type(word: str, code: str, type_: str) -> None:
    error = {"code": code, "description": "no such +447700900001", "carrier_error_code": None} if code else None
    (event,) = bird.batch_of(told(word, error=error)).events
    assert (event.type, event.reference, event.external_id) == (type_, REFERENCE, "sms_1")
    assert (event.time_ms % 1000, event.discriminator, event.undated) == (123, word, False)
    assert event.type in KINDS
    if code:
        assert event.reason_text == f"bird · {code} · no such …"


def test_cost_and_segments_are_kept() -> None:
    cost = {"amount": "0.04210", "currency_code": "eur", "transaction_amount": "0.05"}
    (event,) = bird.batch_of(told("sms.delivered", cost=cost, segments={"count": 2, "encoding": "GSM_7BIT"})).events
    assert event.detail == {"segments": 2, "cost_micros": 42_100, "cost_currency": "EUR"}


@pytest.mark.parametrize("word", ["sms.teleported", "email.bounced", "sent"])
def test_a_word_that_nobody_knows_is_kept_without_a_meaning(word: str) -> None:
    (event,) = bird.batch_of(told(word)).events
    assert (event.type, event.type in KINDS) == (f"bird.{word}", False)
    assert "7700900001" not in str(event.detail["raw"])


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (told("sms.received", **{"from": "+447700900001", "to": "+447700900999", "text": "Stop"}), "stop"),
        (told("sms.received", **{"from": "+447700900001", "to": "+447700900999", "text": "START"}), "start"),
        (told("sms.received", **{"from": "+447700900001", "to": "+447700900999", "text": "Hello"}), None),
        (
            told(
                "sms_suppression.created", suppression_id="s", destination="+447700900001", originator="+447700900999"
            ).replace(b'"originator"', b'"reason": "keyword_stop", "originator"'),
            "stop",
        ),
        (
            told("sms_suppression.created", destination="+447700900001", originator="+447700900999", reason="manual"),
            None,
        ),
    ],
)
def test_a_text_of_a_person_stops_or_lifts(body: bytes, word: str | None) -> None:
    batch = bird.batch_of(body)
    assert batch.events == []
    assert [(reply.word, reply.number, reply.sender) for reply in batch.replies] == (
        [(word, "+447700900001", "+447700900999")] if word else []
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"type": "sms.sent"}', told("sms.sent").replace(b"2026", b"soon"), told("sms.sent", to=[])],
)
def test_what_is_no_event_cannot_be_read(body: bytes) -> None:
    with pytest.raises(MalformedError):
        bird.batch_of(body)
