"""Every answer of Twilio that we know."""

from __future__ import annotations

import json

import pytest

from morpheus_kit.reasons import ReasonCode
from services.dispatcher.providers.twilio_verdicts import CODES, REASONS, cost_of, verdict_of
from services.dispatcher.verdicts import Answer, Waits, decide


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (429, 20429, Answer.THROTTLED),
        (400, 21611, Answer.THROTTLED),
        (401, 20003, Answer.PAUSED),
        (403, 20003, Answer.PAUSED),
        (404, 20404, Answer.PAUSED),
        (400, 21606, Answer.CONFIGURATION),
        (400, 21212, Answer.CONFIGURATION),
        (400, 21612, Answer.CONFIGURATION),
        (400, 21211, Answer.REFUSED),
        (400, 21408, Answer.REFUSED),
        (400, 21610, Answer.REFUSED),
        (400, 21614, Answer.REFUSED),
        (400, 29999, Answer.REFUSED),
        (401, None, Answer.PAUSED),
        (429, None, Answer.THROTTLED),
        (500, None, Answer.RETRY),
        (500, 20500, Answer.RETRY),
        (503, None, Answer.RETRY),
        (502, 21211, Answer.UNCLEAR),
        (504, None, Answer.UNCLEAR),
    ],
)
def test_errors_by_code_then_by_status(status: int, code: int | None, answer: Answer) -> None:
    body = json.dumps({"code": code, "message": "its words", "more_info": "https://…", "status": status}).encode()
    verdict = verdict_of(status, body)
    assert verdict.answer is answer
    if status not in {502, 504}:
        assert verdict.text.endswith("its words")


def test_a_page_in_place_of_an_answer() -> None:
    assert verdict_of(500, b"<html>").answer is Answer.RETRY
    assert verdict_of(201, b"<html>").answer is Answer.UNCLEAR
    assert verdict_of(201, b"[]").answer is Answer.UNCLEAR


def test_how_long_to_wait_is_as_told() -> None:
    assert verdict_of(429, b'{"code":20429}', "7").wait_seconds == 7


def test_a_stop_is_named_as_what_it_is() -> None:
    verdict = verdict_of(400, b'{"code":21610,"message":"Attempt to send to unsubscribed recipient"}')
    assert verdict.reason is ReasonCode.UNSUBSCRIBED
    decision = decide(verdict, 0, Waits((1.0,), 900.0), lambda: 1.0)
    assert (decision.result, decision.reason) == ("failed", ReasonCode.UNSUBSCRIBED)
    assert "21610" in decision.text


@pytest.mark.parametrize("status", ["accepted", "scheduled", "queued", "sending", "sent", "delivered"])
def test_a_taken_message(status: str) -> None:
    body = {"sid": "SM1", "status": status, "num_segments": "2", "price": None, "price_unit": "USD"}
    verdict = verdict_of(201, json.dumps(body).encode())
    assert (verdict.answer, verdict.external_id, verdict.detail) == (Answer.ACCEPTED, "SM1", {"segments": 2})


def test_cost_where_it_names_one() -> None:
    body = {"sid": "SM1", "status": "sent", "num_segments": "1", "price": "-0.00790", "price_unit": "USD"}
    verdict = verdict_of(201, json.dumps(body).encode())
    assert verdict.detail == {"segments": 1, "cost_micros": 7900, "cost_currency": "USD"}
    assert cost_of("n/a", "USD") is None
    assert cost_of("NaN", "USD") is None


def test_a_message_that_failed_at_once() -> None:
    body = {"sid": "SM1", "status": "failed", "error_code": 21610, "error_message": "STOP"}
    verdict = verdict_of(201, json.dumps(body).encode())
    assert (verdict.answer, verdict.reason) == (Answer.REFUSED, ReasonCode.UNSUBSCRIBED)


def test_a_reason_is_only_for_what_is_refused() -> None:
    assert all(CODES[code] is Answer.REFUSED for code in REASONS)
