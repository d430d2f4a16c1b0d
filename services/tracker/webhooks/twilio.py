"""Twilio: one status or one text of a person in each request, signed with the auth token over address and fields.

It echoes nothing but the address that it was told to call, so the message's reference is in the query.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qs, urlsplit

import msgspec

from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnauthenticatedError
from morpheus_kit.queue.schema import Event
from morpheus_kit.reasons import ReasonCode
from services.tracker.webhooks.base import (
    Batch,
    Detail,
    Inbound,
    Reply,
    check_signature,
    decoded_form,
    known_type,
    malformed,
    raw_detail,
    words_of,
)
from services.tracker.webhooks.replies import Word, word_of

NAME = "twilio"
SIGNATURE, SETTINGS = "x-twilio-signature", "x-twilio-webhooks-signature-settings"
BODY_DIGEST = "bodySHA256"
REFERENCE = "ref"

TYPES = {
    "accepted": "sent",
    "scheduled": "sent",
    "queued": "sent",
    "sending": "sent",
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "soft_bounced",
    "failed": "refused",
    "canceled": "refused",
}
"""Twilio's status → our type, unless its error code says more."""

CODES: dict[int, str] = {
    21211: "hard_bounced",  # invalid number
    21614: "hard_bounced",  # not a mobile number
    30005: "hard_bounced",  # unknown destination
    30006: "hard_bounced",  # landline, or a carrier that cannot be reached
    21610: "unsubscribed",  # the person has sent STOP
}
"""Error codes that decide what a failure is; any other leaves it to the status."""

REASONS: dict[int, ReasonCode] = {21211: ReasonCode.ADDRESS_INVALID, 21614: ReasonCode.ADDRESS_INVALID}
"""What is known better than that it came back."""

FAILURES = frozenset(["undelivered", "failed", "canceled"])
RECEIVED = frozenset(["received", "receiving"])
OPT_OUTS: dict[str, Word] = {"STOP": "stop", "START": "start"}
"""What Twilio itself made of a text."""

_DIGESTS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_MICROS = 1_000_000


class TwilioWebhook:
    """One account."""

    name = NAME

    def __init__(self, public_url: str, keys: Sequence[str], clock: Clock) -> None:
        """`public_url`: of the gateway, without a slash at its end; `keys`: the auth token, and shared keys."""
        self._public_url = public_url
        self._keys = [key.encode() for key in keys]
        self._clock = clock

    async def read(self, inbound: Inbound) -> Batch:
        """UnauthenticatedError, MalformedError."""
        fields = verify(inbound, self._public_url, self._keys)
        query = parse_qs(urlsplit(inbound.target).query)
        return batch_of(fields, query.get(REFERENCE, [""])[0], self._clock.now_ms())


def verify(inbound: Inbound, public_url: str, keys: Sequence[bytes]) -> dict[str, str]:
    """The fields of a genuine request. UnauthenticatedError; MalformedError when genuine JSON is no map of them."""
    url = public_url + inbound.target
    if inbound.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        _check_digest(inbound)
        _check(inbound, url, "", keys)
        return _json_fields(inbound.body)
    fields = decoded_form(inbound.body)
    # Sorted by name, then value; a pair that comes twice counts once.
    _check(inbound, url, "".join([name + value for name, value in sorted(set(fields))]), keys)
    return dict(reversed(fields))


def _check(inbound: Inbound, url: str, fields: str, keys: Sequence[bytes]) -> None:
    digest = _DIGESTS.get(_algorithm(inbound.headers.get(SETTINGS, "")))
    if digest is None:
        raise UnauthenticatedError(f"{SETTINGS}: HMAC_SHA1 or HMAC_SHA256 is required.")
    texts = [each + fields for each in _with_and_without_port(url)]
    check_signature(inbound.headers.get(SIGNATURE, ""), texts, keys, digest, SIGNATURE)


def _algorithm(settings: str) -> str:
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _with_and_without_port(url: str) -> tuple[str, str]:
    """Twilio signs the one or the other. Only the host is written anew: the rest is signed as it stands."""
    parts = urlsplit(url)
    scheme, _, rest = url.partition("://")
    netloc = parts.netloc
    bare = netloc.removesuffix(f":{parts.port}") if parts.port else netloc
    port = parts.port or (443 if scheme == "https" else 80)
    tail = rest.removeprefix(netloc)
    return f"{scheme}://{bare}{tail}", f"{scheme}://{bare}:{port}{tail}"


def _check_digest(inbound: Inbound) -> None:
    given = parse_qs(urlsplit(inbound.target).query).get(BODY_DIGEST, [""])[0]
    if not hmac.compare_digest(given.lower().encode(), hashlib.sha256(inbound.body).hexdigest().encode()):
        raise UnauthenticatedError(f"{BODY_DIGEST}: not that of this body.")


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except ValueError as exc:
        raise malformed("its body is no JSON map") from exc
    return {name: str(value) for name, value in found.items() if value is not None}


def batch_of(fields: Mapping[str, str], reference: str, now_ms: int) -> Batch:
    """What a verified request tells. Twilio names no time, so it is ours. MalformedError."""
    status = (fields.get("MessageStatus") or fields.get("SmsStatus") or "").lower()
    if status in RECEIVED or (not status and "Body" in fields):
        return Batch(replies=_replies(fields, now_ms))
    if not status:
        raise malformed("it has neither a status nor a text")
    return Batch([_event(fields, status, reference, now_ms)])


def _replies(fields: Mapping[str, str], now_ms: int) -> list[Reply]:
    number, sender = fields.get("From", ""), fields.get("To", "")
    given = fields.get("OptOutType", "").upper()
    word = OPT_OUTS.get(given) if given else word_of(fields.get("Body", ""))
    if word is None or not number or not sender:
        return []
    identity = fields.get("MessageSid") or fields.get("SmsSid") or ""
    return [Reply(word, number, sender, NAME, now_ms, True, identity)]


def _event(fields: Mapping[str, str], status: str, reference: str, now_ms: int) -> Event:
    code = _number(fields.get("ErrorCode"))
    failed = status in FAILURES
    type_ = (CODES.get(code) if failed else None) or known_type(NAME, status, TYPES)
    reason, text = "", ""
    if failed:
        reason = REASONS.get(code, "")
        text = words_of(NAME, status, code or "", fields.get("ErrorMessage", ""))
    return Event(
        reference,
        type_,
        0,
        now_ms,
        NAME,
        reason,
        text,
        status,
        NAME,
        fields.get("MessageSid") or fields.get("SmsSid") or "",
        0,
        _detail(fields, code, known=status in TYPES),
        undated=True,
    )


def _detail(fields: Mapping[str, str], code: int, *, known: bool) -> Detail:
    detail: Detail = {} if known else raw_detail(msgspec.json.encode(fields))
    if code:
        detail["code"] = code
    segments = _number(fields.get("NumSegments"))
    if segments:
        detail["segments"] = segments
    currency = fields.get("PriceUnit", "")
    if currency and (cost := _micros(fields.get("Price", ""))) is not None:
        detail |= {"cost_micros": cost, "cost_currency": currency.upper()}
    return detail


def _micros(price: str) -> int | None:
    """Twilio writes what it takes as a negative amount."""
    try:
        return int(abs(Decimal(price)) * _MICROS)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
