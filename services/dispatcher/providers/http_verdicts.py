"""What a bare HTTP status means where a provider's own error name says nothing better."""

from __future__ import annotations

from services.dispatcher.verdicts import Answer

_STATUSES = {
    401: Answer.PAUSED,
    403: Answer.PAUSED,
    429: Answer.THROTTLED,
    500: Answer.RETRY,
    502: Answer.UNCLEAR,
    503: Answer.RETRY,
    504: Answer.UNCLEAR,
}
_MAX_WAIT = 3600.0


def answer_of(status: int) -> Answer:
    """For any status that is not a success. What no rule names may have been taken."""
    if status in _STATUSES:
        return _STATUSES[status]
    if 300 <= status < 400:
        # We follow no redirects, so nobody has the message.
        return Answer.RETRY
    return Answer.REFUSED if 400 <= status < 500 else Answer.UNCLEAR


def wait_of(retry_after: str) -> float | None:
    """Seconds of a `Retry-After`, at most an hour; None when it is absent or a date."""
    text = retry_after.strip()
    return min(float(text), _MAX_WAIT) if text.isascii() and text.isdigit() else None
