"""Mandrill's webhook: who signed it, and what each of its words becomes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from morpheus_kit.errors import MalformedError, UnauthenticatedError
from services.tracker.states import KINDS
from services.tracker.webhooks import mandrill
from services.tracker.webhooks.base import Inbound

URL, TARGET = "https://mail.example.com", "/webhooks/mandrill?from=mandrill"
REFERENCE = "202611-000-0a1b2c3d-7d9f4d1c-2c59-5d3e-8a54-0a5c8f3a9e11"


def vendors_signature(key: str, url: str, fields: dict[str, str]) -> str:
    """The vendor's published steps: address, then each field's name and value in the order of names; SHA-1, base64."""
    signed = url
    for name in sorted(fields):
        signed += name
        signed += fields[name]
    return base64.b64encode(hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def inbound(fields: dict[str, str], signature: str, target: str = TARGET) -> Inbound:
    return Inbound(target, {mandrill.SIGNATURE: signature}, urlencode(fields).encode())


def told(word: str, **more: Any) -> dict[str, Any]:
    message = {"_id": "m1", "email": "ada@example.com", "metadata": {"reference": REFERENCE}, **more}
    return {"event": word, "_id": "m1", "ts": 1_790_000_000, "msg": message}


@pytest.mark.parametrize("key", ["first", "second"])
def test_any_of_the_keys_counts(key: str) -> None:
    fields = {"mandrill_events": '[{"ts": "é ünï"}]', "a": "b c&d", "B": ""}
    request = inbound(fields, vendors_signature(key, URL + TARGET, fields))
    assert mandrill.verify(request, URL, [b"first", b"second"]) == fields


@pytest.mark.parametrize(
    ("key", "url", "change"),
    [
        ("third", URL + TARGET, {}),
        ("first", "https://other.example.com" + TARGET, {}),
        ("first", URL + "/webhooks/mandrill", {}),
        ("first", URL + TARGET, {"mandrill_events": "[ ]"}),
        ("first", URL + TARGET, {"extra": "x"}),
    ],
)
def test_another_key_address_or_field_is_forged(key: str, url: str, change: dict[str, str]) -> None:
    fields = {"mandrill_events": "[]"}
    with pytest.raises(UnauthenticatedError):
        mandrill.verify(inbound(fields | change, vendors_signature(key, url, fields)), URL, [b"first"])


@pytest.mark.parametrize(
    ("body", "headers"), [(b"\xff\xfe", {mandrill.SIGNATURE: "x"}), (b"a=%ff", {}), (b"", {}), (b"a=b", {})]
)
def test_what_is_no_form_or_not_signed_is_forged(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(UnauthenticatedError):
        mandrill.verify(Inbound(TARGET, headers, body), URL, [b"first"])


@pytest.mark.parametrize(
    ("word", "type_", "state"),
    [
        ("send", "sent", "sent"),
        ("deferral", "provider_deferred", "deferred"),
        ("delivered", "delivered", "delivered"),
        ("soft_bounce", "soft_bounced", "bounced"),
        ("hard_bounce", "hard_bounced", "bounced"),
        ("reject", "refused", "failed"),
        ("open", "opened", "opened"),
        ("click", "clicked", "clicked"),
        ("spam", "complained", "complained"),
        ("unsub", "unsubscribed", "unsubscribed"),
    ],
)
def test_each_word_has_our_type(word: str, type_: str, state: str) -> None:
    (event,) = mandrill.events_of(json.dumps([told(word)])).events
    assert (event.reference, event.type, event.time_ms, event.source) == (
        REFERENCE,
        type_,
        1_790_000_000_000,
        "mandrill",
    )
    assert (event.provider, event.external_id, KINDS[event.type].state) == ("mandrill", "m1", state)


def test_the_table_has_only_types_with_a_meaning() -> None:
    assert set(mandrill.TYPES.values()) <= set(KINDS)


@pytest.mark.parametrize("word", ["teleported", "sent", "queued", "a/b\n", ""])
def test_a_word_that_nobody_knows_is_kept_without_a_meaning(word: str) -> None:
    (event,) = mandrill.events_of(json.dumps([told(word)])).events
    assert event.type.startswith("mandrill.")
    assert event.type not in KINDS
    assert "/" not in event.type
    assert "ada@" not in str(event.detail["raw"])
    assert '"ts"' in str(event.detail["raw"])


def test_a_click_is_told_apart_by_its_address() -> None:
    events = mandrill.events_of(
        json.dumps([told("click") | {"url": url} for url in ("https://a/", "https://b/")])
    ).events
    assert [(event.discriminator, event.detail["url"]) for event in events] == [
        ("https://a/",) * 2,
        ("https://b/",) * 2,
    ]


@pytest.mark.parametrize(
    ("reject", "code"),
    [
        ({"reason": "spam", "last_event_at": None}, "complained"),
        ({"reason": "unsub"}, "unsubscribed"),
        ({"reason": "hard-bounce"}, "bounced"),
        ({"reason": "invalid"}, "address_invalid"),
        ({"reason": "rule"}, "provider_refused"),
        ("spam", "complained"),
        ([], "provider_refused"),
        (None, "provider_refused"),
    ],
)
def test_a_rejection_says_why(reject: object, code: str) -> None:
    (event,) = mandrill.events_of(json.dumps([told("reject", reject=reject)])).events
    assert event.reason_code == code


def test_the_words_of_a_bounce_are_kept_without_addresses() -> None:
    words = {
        "bounce_description": "bad_mailbox",
        "diag": "smtp;550 5.1.1 <ada@example.com>: no\r\n such user",
        "bgtools_code": 10,
    }
    (event,) = mandrill.events_of(json.dumps([told("hard_bounce", **words)])).events
    assert event.reason_text == "bad_mailbox · smtp;550 5.1.1 <…>: no such user"
    assert event.detail == {"code": 10}


@pytest.mark.parametrize(
    "bad",
    [
        *(None, 1, "x", [], {}, {"event": "open"}, {"ts": True}, {"event": [], "ts": 1}),
        *({"event": "open", "ts": ts} for ts in ("1", -1, 1e300)),
        {"event": "open", "ts": 1, "msg": []},
    ],
)
def test_a_bad_event_is_counted_and_the_good_ones_stay(bad: object) -> None:
    batch = mandrill.events_of(json.dumps([told("open"), bad, told("click")]))
    assert ([event.type for event in batch.events], batch.unreadable) == (["opened", "clicked"], 1)


@pytest.mark.parametrize("metadata", [[], None, {}, {"reference": 7}, {"other": "x"}])
def test_an_event_of_somebody_else_has_no_reference_of_ours(metadata: object) -> None:
    (event,) = mandrill.events_of(json.dumps([told("open", metadata=metadata)])).events
    assert event.reference in {"", "7"}


@pytest.mark.parametrize("text", ["", "no json", "{}", '"x"', "[1", "null"])
def test_what_is_no_list_cannot_be_read(text: str) -> None:
    with pytest.raises(MalformedError):
        mandrill.events_of(text)
