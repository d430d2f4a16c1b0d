"""Mandrill: a form with one JSON list of events, up to a thousand, signed with HMAC-SHA1 over address and fields."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from morpheus_kit.queue.schema import Event
from morpheus_kit.reasons import ReasonCode
from services.tracker.webhooks.base import (
    Batch,
    Detail,
    Inbound,
    check_signature,
    decoded_form,
    known_type,
    malformed,
    millis_of,
    raw_detail,
    words_of,
)

NAME = "mandrill"
SIGNATURE = "x-mandrill-signature"

TYPES = {
    "send": "sent",
    "deferral": "provider_deferred",
    "delivered": "delivered",
    "soft_bounce": "soft_bounced",
    "hard_bounce": "hard_bounced",
    "reject": "refused",
    "open": "opened",
    "click": "clicked",
    "spam": "complained",
    "unsub": "unsubscribed",
}
"""Mandrill's word for an event → ours."""

REJECTIONS: dict[str, ReasonCode] = {
    "hard-bounce": ReasonCode.BOUNCED,
    "soft-bounce": ReasonCode.BOUNCED,
    "spam": ReasonCode.COMPLAINED,
    "unsub": ReasonCode.UNSUBSCRIBED,
    "invalid": ReasonCode.ADDRESS_INVALID,
}
"""Why it rejected a message, where that says more than that it was refused."""


class _Rejection(msgspec.Struct):
    reason: str | None = None


class _Message(msgspec.Struct):
    id: str = msgspec.field(name="_id", default="")
    metadata: dict[str, object] | list[object] | None = None
    """A list when it is empty: so PHP writes an empty map."""
    bounce_description: str | None = None
    diag: str | None = None
    bgtools_code: int | None = None
    reject: _Rejection | str | list[object] | None = None


class _Told(msgspec.Struct):
    ts: int | float
    event: str = ""
    type: str = ""
    id: str = msgspec.field(name="_id", default="")
    msg: _Message | None = None
    url: str | None = None


_list = msgspec.json.Decoder(list[msgspec.Raw])
_told = msgspec.json.Decoder(_Told)


class MandrillWebhook:
    """One account. Several keys may be valid at the same time: that is rotation, and one webhook for each."""

    name = NAME

    def __init__(self, public_url: str, keys: Sequence[str]) -> None:
        """`public_url`: of the gateway, without a slash at its end."""
        self._public_url = public_url
        self._keys = [key.encode() for key in keys]

    async def read(self, inbound: Inbound) -> Batch:
        """UnauthenticatedError, MalformedError."""
        fields = verify(inbound, self._public_url, self._keys)
        return events_of(fields.get("mandrill_events", ""))


def verify(inbound: Inbound, public_url: str, keys: Sequence[bytes]) -> dict[str, str]:
    """The fields of a genuine request. UnauthenticatedError."""
    fields = dict(decoded_form(inbound.body))
    text = public_url + inbound.target + "".join([name + fields[name] for name in sorted(fields)])
    check_signature(inbound.headers.get(SIGNATURE, ""), [text], keys, "sha1", SIGNATURE)
    return fields


def events_of(listed: str) -> Batch:
    """The events of a verified request; those that cannot be read are counted. MalformedError."""
    try:
        items = _list.decode(listed)
    except ValueError as exc:
        raise malformed("mandrill_events is no JSON list") from exc
    batch = Batch()
    for item in items:
        try:
            batch.events.append(_event(_told.decode(item), item))
        except ValueError:
            batch.unreadable += 1
    return batch


def _event(told: _Told, raw: msgspec.Raw) -> Event:
    message = told.msg or _Message()
    metadata = message.metadata if isinstance(message.metadata, dict) else {}
    type_ = known_type(NAME, told.event or told.type or "unnamed", TYPES)
    code, text = _reason(type_, message)
    detail: Detail = {} if told.event in TYPES else raw_detail(bytes(raw))
    if message.bgtools_code is not None:
        detail["code"] = message.bgtools_code
    if told.url:
        detail["url"] = told.url
    return Event(
        str(metadata.get("reference", "")),
        type_,
        0,
        millis_of(told.ts),
        NAME,
        code,
        text,
        told.url or "",
        NAME,
        told.id or message.id,
        0,
        detail,
    )


def _reason(type_: str, message: _Message) -> tuple[str, str]:
    if type_ == "refused":
        found = message.reject
        word = found.reason if isinstance(found, _Rejection) else found
        text = str(word) if isinstance(word, str) else ""
        return REJECTIONS.get(text, ReasonCode.PROVIDER_REFUSED), words_of(NAME, text)
    if type_ in {"soft_bounced", "hard_bounced", "provider_deferred"}:
        return "", words_of(message.bounce_description, message.diag)
    return "", ""
