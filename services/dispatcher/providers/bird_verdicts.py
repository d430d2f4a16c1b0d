"""What Bird's answers to a new message mean: its own error codes, names and types first, as data."""

from __future__ import annotations

from typing import Any

import msgspec

from morpheus_kit.reasons import ReasonCode
from services.dispatcher.cost import Detail, cost_detail
from services.dispatcher.providers.http_verdicts import answer_of, wait_of
from services.dispatcher.providers.twilio_verdicts import cost_of
from services.dispatcher.verdicts import Answer, Verdict

NAMES: dict[str, Answer] = {
    # The first call with this key is still under way, or was another one: what became of it is not told.
    "RequestInProgress": Answer.UNCLEAR,
    "IdempotencyKeyReuse": Answer.UNCLEAR,
    "SMSSenderNotConfigured": Answer.CONFIGURATION,
    "SenderCategoryNotPermitted": Answer.CONFIGURATION,
    "SMSInvalidRecipient": Answer.REFUSED,
    "SMSUnsupportedFeature": Answer.REFUSED,
}
"""Names of single errors."""

TYPES: dict[str, Answer] = {
    "auth_error": Answer.PAUSED,
    "billing_error": Answer.PAUSED,
    "permission_error": Answer.PAUSED,
    "misdirected_error": Answer.PAUSED,
    "rate_limit_error": Answer.THROTTLED,
    "internal_error": Answer.RETRY,
    "service_unavailable_error": Answer.RETRY,
    "conflict_error": Answer.UNCLEAR,
    "precondition_error": Answer.CONFIGURATION,
    "bad_request_error": Answer.REFUSED,
    "not_found_error": Answer.REFUSED,
    "not_implemented_error": Answer.REFUSED,
    "payload_too_large_error": Answer.REFUSED,
    "validation_error": Answer.REFUSED,
}
"""Categories of errors."""

FAILURES: dict[str, Answer] = {
    "insufficient_balance": Answer.PAUSED,
    "provider_unavailable": Answer.RETRY,
    "sender_unregistered": Answer.CONFIGURATION,
}
"""Codes of a message that Bird has rejected at once; any other is about this message."""

NAME_REASONS = {"SMSInvalidRecipient": ReasonCode.ADDRESS_INVALID}
FAILURE_REASONS = {
    "invalid_destination": ReasonCode.ADDRESS_INVALID,
    "landline_unreachable": ReasonCode.ADDRESS_INVALID,
    "recipient_opted_out": ReasonCode.UNSUBSCRIBED,
}

ENDED = frozenset(["rejected", "failed", "canceled", "undelivered", "expired"])
"""Statuses of a new message that will never be sent."""


def verdict_of(status: int, body: bytes, retry_after: str = "") -> Verdict:
    """A whole answer to `sms/messages`."""
    found = _decoded(body)
    if 200 <= status < 300:
        return _of_message(found)
    if status in {502, 504}:
        # A proxy speaks for a server that may have the message, whatever its page says.
        return Verdict(Answer.UNCLEAR, f"bird: HTTP {status}")
    error = found.get("error")
    error = error if isinstance(error, dict) else found
    name, kind = str(error.get("name") or ""), str(error.get("type") or "")
    words = _words(error)
    answer = NAMES.get(name) or TYPES.get(kind) or (Answer.UNCLEAR if status == 409 else answer_of(status))
    text = f"bird: {name or kind or f'HTTP {status}'}{f': {words}' if words else ''}"
    return Verdict(answer, text, wait_seconds=wait_of(retry_after), reason=NAME_REASONS.get(name))


def _words(error: dict[str, Any]) -> str:
    """The message and which fields it is about."""
    details = error.get("details")
    fields = [
        f"{each.get('param')} {each.get('message')}"
        for each in (details if isinstance(details, list) else [])
        if isinstance(each, dict)
    ]
    return " ".join([str(error.get("message") or ""), *fields]).strip()


def _of_message(found: dict[str, Any]) -> Verdict:
    identifier, status = found.get("id"), found.get("status")
    if not isinstance(identifier, str) or not isinstance(status, str):
        return Verdict(Answer.UNCLEAR, "bird: an answer that cannot be understood")
    if status in ENDED:
        error = found.get("last_error")
        error = error if isinstance(error, dict) else {}
        code = str(error.get("code") or "unknown")
        text = f"bird: {status}, {code}: {error.get('description') or ''}"
        answer = FAILURES.get(code, Answer.REFUSED)
        return Verdict(answer, text, external_id=identifier, reason=FAILURE_REASONS.get(code))
    return Verdict(Answer.ACCEPTED, f"bird: {status}", external_id=identifier, detail=_detail(found))


def _detail(found: dict[str, Any]) -> Detail:
    """Segments, and the cost where it is known already."""
    detail: Detail = {}
    segments, cost = found.get("segments"), found.get("cost")
    if isinstance(segments, dict) and isinstance(segments.get("count"), int):
        detail["segments"] = segments["count"]
    if isinstance(cost, dict) and cost.get("amount") is not None:
        detail |= cost_detail(cost_of(cost["amount"], str(cost.get("currency_code") or "")))
    return detail


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
