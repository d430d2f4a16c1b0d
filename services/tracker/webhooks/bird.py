"""Bird: one event in each request, signed by Standard Webhooks over id, time and body."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from morpheus_kit import signing
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnauthenticatedError
from morpheus_kit.queue.schema import Event
from morpheus_kit.reasons import ReasonCode
from services.tracker.webhooks.base import (
    Batch,
    Detail,
    Inbound,
    Reply,
    known_type,
    malformed,
    millis_of_text,
    raw_detail,
    words_of,
)
from services.tracker.webhooks.replies import Word, word_of

NAME = "bird"

TYPES = {
    "sms.accepted": "sent",
    "sms.sent": "sent",
    "sms.delivered": "delivered",
    "sms.undelivered": "soft_bounced",
    "sms.expired": "soft_bounced",
    "sms.failed": "soft_bounced",
    "sms.rejected": "refused",
}
"""Bird's event → our type, unless its error code says more."""

CODES = {
    "invalid_destination": "hard_bounced",
    "landline_unreachable": "hard_bounced",
    "recipient_opted_out": "unsubscribed",
    "unreachable": "soft_bounced",
    "blocked_by_carrier": "refused",
    "blocked_by_fraud_protection": "refused",
    "blocked_by_recipient": "refused",
    "content_rejected": "refused",
    "sender_unregistered": "refused",
    "provider_unavailable": "refused",
    "insufficient_balance": "refused",
}
"""Error codes that decide what a failure is; any other leaves it to the event."""

REASONS: dict[str, ReasonCode] = {
    "invalid_destination": ReasonCode.ADDRESS_INVALID,
    "landline_unreachable": ReasonCode.ADDRESS_INVALID,
}
"""What is known better than that it came back."""

RECEIVED, SUPPRESSED = "sms.received", "sms_suppression.created"
OPT_OUTS = frozenset(["keyword_stop", "carrier_opted_out"])
"""Reasons of a suppression of theirs that the person gave; one by hand is between its owner and Bird."""

_MICROS = 1_000_000


class _Error(msgspec.Struct):
    code: str = ""
    description: str | None = None
    carrier_error_code: str | None = None


class _Cost(msgspec.Struct):
    amount: str | None = None
    currency_code: str | None = None


class _Segments(msgspec.Struct):
    count: int = 0


class _Data(msgspec.Struct):
    sms_id: str = ""
    to: str = ""
    sender: str = msgspec.field(name="from", default="")
    text: str | None = None
    metadata: dict[str, object] | None = None
    error: _Error | None = None
    cost: _Cost | None = None
    segments: _Segments | None = None
    suppression_id: str = ""
    destination: str = ""
    originator: str = ""
    reason: str = ""


class _Told(msgspec.Struct):
    type: str
    timestamp: str
    data: _Data


_told = msgspec.json.Decoder(_Told)


class BirdWebhook:
    """One workspace. Several secrets may be valid at the same time: that is rotation."""

    name = NAME

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        """`secrets` as `whsec_…`. ValueError when one is none."""
        self._keys = [signing.decode_secret(secret) for secret in secrets]
        self._clock = clock

    async def read(self, inbound: Inbound) -> Batch:
        """UnauthenticatedError, MalformedError."""
        verify(inbound, self._keys, self._clock.now_ms() / 1000)
        return batch_of(inbound.body)


def verify(inbound: Inbound, keys: Sequence[bytes], now_s: float) -> None:
    """Returns when it is genuine and of the last minutes. UnauthenticatedError."""
    try:
        payload = inbound.body.decode()
    except UnicodeDecodeError as exc:
        raise UnauthenticatedError("The body is not the text that Bird signs.") from exc
    signing.verify(signing.SignatureHeaders.of(inbound.headers), payload, keys, now_s)


def batch_of(body: bytes) -> Batch:
    """What a verified request tells. MalformedError."""
    try:
        told = _told.decode(body)
        time_ms = millis_of_text(told.timestamp)
    except ValueError as exc:
        raise malformed("it is no event of Bird") from exc
    data = told.data
    if told.type == RECEIVED:
        return Batch(replies=_reply(word_of(data.text or ""), data.sender, data.to, data.sms_id, time_ms))
    if told.type == SUPPRESSED:
        word: Word | None = "stop" if data.reason in OPT_OUTS else None
        return Batch(replies=_reply(word, data.destination, data.originator, data.suppression_id, time_ms))
    return Batch([_event(told, time_ms, body)])


def _reply(word: Word | None, number: str, sender: str, identity: str, time_ms: int) -> list[Reply]:
    return [Reply(word, number, sender, NAME, time_ms, False, identity)] if word and number and sender else []


def _event(told: _Told, time_ms: int, body: bytes) -> Event:
    data, error = told.data, told.data.error
    type_, reason, text = known_type(NAME, told.type, TYPES), "", ""
    if error is not None and told.type in TYPES:
        type_, reason = CODES.get(error.code, type_), REASONS.get(error.code, "")
        text = words_of(NAME, error.code, error.description, error.carrier_error_code)
    return Event(
        str((data.metadata or {}).get("reference", "")),
        type_,
        0,
        time_ms,
        NAME,
        reason,
        text,
        told.type,
        NAME,
        data.sms_id,
        0,
        _detail(data) if told.type in TYPES else raw_detail(body),
    )


def _detail(data: _Data) -> Detail:
    detail: Detail = {}
    if data.error is not None and data.error.code:
        detail["code"] = data.error.code
    if data.segments is not None and data.segments.count > 0:
        detail["segments"] = data.segments.count
    if data.cost is not None and data.cost.currency_code and (micros := _micros(data.cost.amount)) is not None:
        detail |= {"cost_micros": micros, "cost_currency": data.cost.currency_code.upper()}
    return detail


def _micros(amount: str | None) -> int | None:
    try:
        return int(abs(Decimal(amount or "")) * _MICROS)
    except (InvalidOperation, ValueError, OverflowError):
        return None
