"""Every answer of Bird that we know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from morpheus_kit.reasons import ReasonCode
from services.dispatcher.providers.bird import default_url
from services.dispatcher.providers.bird_verdicts import verdict_of
from services.dispatcher.verdicts import Answer


@pytest.mark.parametrize(
    ("status", "kind", "name", "answer"),
    [
        (401, "auth_error", "Unauthorized", Answer.PAUSED),
        (402, "billing_error", "InsufficientBalance", Answer.PAUSED),
        (403, "permission_error", "", Answer.PAUSED),
        (421, "misdirected_error", "", Answer.PAUSED),
        (429, "rate_limit_error", "", Answer.THROTTLED),
        (500, "internal_error", "", Answer.RETRY),
        (503, "service_unavailable_error", "", Answer.RETRY),
        (409, "conflict_error", "RequestInProgress", Answer.UNCLEAR),
        (409, "conflict_error", "IdempotencyKeyReuse", Answer.UNCLEAR),
        (409, "", "", Answer.UNCLEAR),
        (422, "validation_error", "SMSSenderNotConfigured", Answer.CONFIGURATION),
        (422, "validation_error", "SenderCategoryNotPermitted", Answer.CONFIGURATION),
        (422, "validation_error", "SMSInvalidRecipient", Answer.REFUSED),
        (422, "validation_error", "ValidationError", Answer.REFUSED),
        (400, "bad_request_error", "", Answer.REFUSED),
        (413, "payload_too_large_error", "", Answer.REFUSED),
        (401, "", "", Answer.PAUSED),
        (418, "teapot_error", "", Answer.REFUSED),
        (502, "validation_error", "", Answer.UNCLEAR),
        (504, "", "", Answer.UNCLEAR),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_errors_by_name_then_type_then_status(status: int, kind: str, name: str, answer: Answer, nested: bool) -> None:
    error = {"type": kind, "code": "E01001", "name": name, "message": "its words"}
    verdict = verdict_of(status, json.dumps({"error": error} if nested else error).encode())
    assert verdict.answer is answer
    if status not in {502, 504}:
        assert verdict.text.endswith("its words")


def test_the_fields_at_fault_are_told() -> None:
    error = {"type": "validation_error", "message": "No.", "details": [{"param": "text", "message": "is too long"}]}
    assert verdict_of(422, json.dumps({"error": error}).encode()).text == "bird: validation_error: No. text is too long"


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"status": "accepted"}, Answer.ACCEPTED),
        ({"status": "sent"}, Answer.ACCEPTED),
        ({"status": "rejected", "last_error": {"code": "recipient_opted_out"}}, Answer.REFUSED),
        ({"status": "rejected", "last_error": {"code": "insufficient_balance"}}, Answer.PAUSED),
        ({"status": "rejected", "last_error": {"code": "sender_unregistered"}}, Answer.CONFIGURATION),
        ({"status": "failed"}, Answer.REFUSED),
        ({}, Answer.UNCLEAR),
    ],
)
def test_statuses_of_a_new_message(message: dict[str, Any], answer: Answer) -> None:
    verdict = verdict_of(202, json.dumps({"id": "sms_1"} | message).encode())
    assert verdict.answer is answer


def test_size_and_cost_where_it_names_them() -> None:
    message = {
        "id": "sms_1",
        "status": "accepted",
        "segments": {"count": 2, "encoding": "UCS2", "characters": 80},
        "cost": {"amount": "0.00990", "currency_code": "EUR"},
    }
    verdict = verdict_of(202, json.dumps(message).encode())
    assert verdict.detail == {"segments": 2, "cost_micros": 9900, "cost_currency": "EUR"}
    assert verdict_of(202, json.dumps(message | {"cost": None}).encode()).detail == {"segments": 2}


def test_reasons_that_are_known_better() -> None:
    body = json.dumps({"id": "sms_1", "status": "rejected", "last_error": {"code": "recipient_opted_out"}}).encode()
    assert verdict_of(202, body).reason is ReasonCode.UNSUBSCRIBED
    assert verdict_of(422, b'{"error":{"name":"SMSInvalidRecipient"}}').reason is ReasonCode.ADDRESS_INVALID


def test_a_page_in_place_of_an_answer() -> None:
    assert verdict_of(202, b"<html>").answer is Answer.UNCLEAR
    assert verdict_of(500, b"<html>").answer is Answer.RETRY


def test_a_key_names_its_host() -> None:
    assert default_url("bk_us1_secret") == "https://us1.platform.bird.com"
    assert default_url("secret") == "https://api.bird.com"
