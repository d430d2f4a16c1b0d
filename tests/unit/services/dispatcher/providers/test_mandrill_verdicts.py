"""Every answer of Mandrill that we know."""

from __future__ import annotations

import json

import pytest

from services.dispatcher.providers.mandrill_verdicts import verdict_of
from services.dispatcher.verdicts import Answer


@pytest.mark.parametrize(
    ("status", "name", "answer"),
    [
        (500, "ValidationError", Answer.REFUSED),
        (422, "ValidationError", Answer.REFUSED),
        (500, "GeneralError", Answer.RETRY),
        (400, "GeneralError", Answer.RETRY),
        (500, "Invalid_Key", Answer.PAUSED),
        (401, "Invalid_Key", Answer.PAUSED),
        (500, "PaymentRequired", Answer.PAUSED),
        (402, "PaymentRequired", Answer.PAUSED),
        (500, "Unknown_Subaccount", Answer.CONFIGURATION),
        (429, "Too_Many_Requests", Answer.THROTTLED),
        (500, "Something_New", Answer.RETRY),
        (400, "Something_New", Answer.REFUSED),
        (502, "ValidationError", Answer.UNCLEAR),
        (504, "", Answer.UNCLEAR),
        (599, "", Answer.UNCLEAR),
    ],
)
def test_errors_by_name_then_by_status(status: int, name: str, answer: Answer) -> None:
    body = json.dumps({"status": "error", "code": -1, "name": name, "message": "its words"}).encode()
    verdict = verdict_of(status, body)
    assert verdict.answer is answer
    if status not in {502, 504}:
        assert verdict.text.endswith("its words")


@pytest.mark.parametrize(
    ("recipient", "answer", "text"),
    [
        ({"status": "sent"}, Answer.ACCEPTED, "mandrill: sent"),
        ({"status": "queued", "queued_reason": "attachments"}, Answer.ACCEPTED, "mandrill: queued, attachments"),
        ({"status": "scheduled"}, Answer.ACCEPTED, "mandrill: scheduled"),
        ({"status": "rejected", "reject_reason": "hard-bounce"}, Answer.REFUSED, "mandrill: rejected, hard-bounce"),
        ({"status": "rejected", "reject_reason": "unsigned"}, Answer.CONFIGURATION, "mandrill: rejected, unsigned"),
        ({"status": "rejected", "reject_reason": "test-mode-limit"}, Answer.PAUSED, None),
        ({"status": "rejected", "reject_reason": None}, Answer.REFUSED, "mandrill: rejected"),
        ({"status": "invalid"}, Answer.REFUSED, "mandrill: invalid"),
        ({"status": "lost"}, Answer.UNCLEAR, None),
        ({}, Answer.UNCLEAR, None),
    ],
)
def test_statuses_of_the_recipient(recipient: dict[str, str], answer: Answer, text: str | None) -> None:
    verdict = verdict_of(200, json.dumps([recipient | {"_id": "abc"}]).encode())
    assert verdict.answer is answer
    assert text is None or verdict.text == text
    if answer is Answer.ACCEPTED:
        assert verdict.external_id == "abc"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"[1]", b"[{},{}]", b"<html>"])
def test_a_success_that_is_none_is_unclear(body: bytes) -> None:
    assert verdict_of(200, body).answer is Answer.UNCLEAR


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("99999", 3600.0), ("", None), ("Tue, 1 Jan", None)])
def test_the_wait_is_as_told(header: str, seconds: float | None) -> None:
    verdict = verdict_of(429, b"", header)
    assert (verdict.answer, verdict.wait_seconds) == (Answer.THROTTLED, seconds)
