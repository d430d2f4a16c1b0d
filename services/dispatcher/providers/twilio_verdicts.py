"""What Twilio's answers to a new message mean: its own error codes first, as data."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from morpheus_kit.prices import MICROS, Cost
from morpheus_kit.reasons import ReasonCode
from services.dispatcher.cost import Detail, cost_detail
from services.dispatcher.providers.http_verdicts import answer_of, wait_of
from services.dispatcher.verdicts import Answer, Verdict

CODES: dict[int, Answer] = {
    # About us: no message can be sent.
    20003: Answer.PAUSED,  # authentication
    20005: Answer.PAUSED,  # the account is not active
    20006: Answer.PAUSED,  # access denied
    20008: Answer.PAUSED,  # test credentials
    20404: Answer.PAUSED,  # no such account
    30002: Answer.PAUSED,  # the account is suspended
    # Too fast.
    20429: Answer.THROTTLED,
    21611: Answer.THROTTLED,  # the sender's queue is full
    63038: Answer.THROTTLED,  # the account's daily limit
    # The group's sender.
    21210: Answer.CONFIGURATION,  # not verified
    21212: Answer.CONFIGURATION,  # invalid
    21603: Answer.CONFIGURATION,  # missing
    21606: Answer.CONFIGURATION,  # not ours, or not able to send text
    21612: Answer.CONFIGURATION,  # cannot reach this recipient
    21659: Answer.CONFIGURATION,  # no number or short code of ours
    21660: Answer.CONFIGURATION,  # of another account
    21661: Answer.CONFIGURATION,  # not able to send text
    21703: Answer.CONFIGURATION,  # a messaging service without senders
    21705: Answer.CONFIGURATION,  # no such messaging service
    # This message.
    21211: Answer.REFUSED,  # invalid number
    21214: Answer.REFUSED,  # cannot be reached
    21217: Answer.REFUSED,  # invalid number
    21408: Answer.REFUSED,  # its country is not enabled
    21602: Answer.REFUSED,  # no text
    21604: Answer.REFUSED,  # no recipient
    21605: Answer.REFUSED,  # too long
    21608: Answer.REFUSED,  # a trial account's unverified recipient
    21610: Answer.REFUSED,  # the recipient has sent STOP
    21614: Answer.REFUSED,  # not a mobile number
    21617: Answer.REFUSED,  # too long
    21635: Answer.REFUSED,  # a landline
}
"""Errors of a call, whatever its HTTP status."""

REASONS: dict[int, ReasonCode] = {
    21211: ReasonCode.ADDRESS_INVALID,
    21217: ReasonCode.ADDRESS_INVALID,
    21610: ReasonCode.UNSUBSCRIBED,
    21614: ReasonCode.ADDRESS_INVALID,
    21635: ReasonCode.ADDRESS_INVALID,
}
"""What is known better than that the provider refused it."""

ENDED = frozenset(["failed", "canceled", "undelivered"])
"""Statuses of a new message that will never be sent."""


def verdict_of(status: int, body: bytes, retry_after: str = "") -> Verdict:
    """A whole answer to `Messages.json`."""
    found = _decoded(body)
    if status in {200, 201}:
        return _of_message(found)
    if status in {502, 504}:
        # A proxy speaks for a server that may have the message, whatever its page says.
        return Verdict(Answer.UNCLEAR, f"twilio: HTTP {status}")
    code, words = _code(found.get("code")), str(found.get("message") or "")
    text = f"twilio: {code or f'HTTP {status}'}{f': {words}' if words else ''}"
    return Verdict(
        CODES.get(code) or answer_of(status), text, wait_seconds=wait_of(retry_after), reason=REASONS.get(code)
    )


def _of_message(found: dict[str, Any]) -> Verdict:
    sid, status = found.get("sid"), found.get("status")
    if not isinstance(sid, str) or not isinstance(status, str):
        return Verdict(Answer.UNCLEAR, "twilio: an answer that cannot be understood")
    code = _code(found.get("error_code"))
    if status in ENDED:
        text = f"twilio: {status}, {code}: {found.get('error_message') or ''}"
        answer = CODES.get(code, Answer.REFUSED)
        return Verdict(answer, text, external_id=sid, reason=REASONS.get(code))
    return Verdict(Answer.ACCEPTED, f"twilio: {status}", external_id=sid, detail=_detail(found))


def _detail(found: dict[str, Any]) -> Detail:
    """Segments and price, which is mostly not known yet; Twilio writes it as a negative amount."""
    detail: Detail = {}
    number = str(found.get("num_segments") or "")
    if number.isascii() and number.isdigit() and int(number):
        detail["segments"] = int(number)
    price, currency = found.get("price"), str(found.get("price_unit") or "")
    if price is not None and currency:
        detail |= cost_detail(cost_of(price, currency))
    return detail


def cost_of(amount: object, currency: str) -> Cost | None:
    """A provider's decimal amount, whatever its sign; None when it is none."""
    try:
        return Cost(int(abs(Decimal(str(amount))) * MICROS), currency.upper())
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _code(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else 0


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
