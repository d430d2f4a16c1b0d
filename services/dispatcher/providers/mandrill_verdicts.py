"""What Mandrill's answers mean: its own error names and reject reasons first, as data."""

from __future__ import annotations

from typing import Any

import msgspec

from services.dispatcher.providers.http_verdicts import answer_of, wait_of
from services.dispatcher.verdicts import Answer, Verdict

ERRORS: dict[str, Answer] = {
    "ValidationError": Answer.REFUSED,
    "GeneralError": Answer.RETRY,
    "Invalid_Key": Answer.PAUSED,
    "PaymentRequired": Answer.PAUSED,
    "Unknown_Subaccount": Answer.CONFIGURATION,
    "Too_Many_Requests": Answer.THROTTLED,
    "ServiceUnavailable": Answer.RETRY,
}
"""Errors of a whole call, whatever its HTTP status."""

STATUSES: dict[str, Answer] = {
    "sent": Answer.ACCEPTED,
    "queued": Answer.ACCEPTED,
    "scheduled": Answer.ACCEPTED,
    "rejected": Answer.REFUSED,
    "invalid": Answer.REFUSED,
}
"""Statuses of a recipient."""

REJECT_REASONS: dict[str, Answer] = {
    "unsigned": Answer.CONFIGURATION,
    "test-mode-limit": Answer.PAUSED,
}
"""Reject reasons that are about us and not about the recipient."""


class _Recipient(msgspec.Struct):
    status: str
    id: str | None = msgspec.field(name="_id", default=None)
    reject_reason: str | None = None
    queued_reason: str | None = None


_recipients = msgspec.json.Decoder(tuple[_Recipient])


def verdict_of(status: int, body: bytes, retry_after: str = "") -> Verdict:
    """A whole answer to `messages/send`."""
    if status == 200:
        return _of_recipient(body)
    found = _decoded(body)
    if status in {502, 504}:
        # A proxy speaks for a server that may have the message, whatever its page says.
        return Verdict(Answer.UNCLEAR, f"mandrill: HTTP {status}")
    name = found.get("name", "") if isinstance(found, dict) else ""
    words = str(found.get("message", "")) if isinstance(found, dict) else ""
    answer = ERRORS.get(name) if isinstance(name, str) else None
    text = f"{name or f'HTTP {status}'}: {words}" if words else f"{name or f'HTTP {status}'}"
    return Verdict(answer or answer_of(status), f"mandrill: {text}", wait_seconds=wait_of(retry_after))


def _of_recipient(body: bytes) -> Verdict:
    try:
        (recipient,) = _recipients.decode(body)
        answer = STATUSES[recipient.status]
    except (ValueError, KeyError):
        return Verdict(Answer.UNCLEAR, "mandrill: an answer that cannot be understood")
    reason = recipient.reject_reason or recipient.queued_reason or ""
    if answer is Answer.REFUSED:
        answer = REJECT_REASONS.get(reason, answer)
    text = f"mandrill: {recipient.status}, {reason}" if reason else f"mandrill: {recipient.status}"
    return Verdict(answer, text, external_id=recipient.id or "")


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except ValueError:
        return None
