"""Twilio's webhook, signed by the vendor's own library."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from morpheus_kit.errors import MalformedError, UnauthenticatedError
from services.tracker.states import KINDS
from services.tracker.webhooks import twilio
from services.tracker.webhooks.base import Inbound

NOW_MS = 1_790_000_000_000
REFERENCE = "202609-000-0a1b2c3d-7d9f4d1c-2c59-5d3e-8a54-0a5c8f3a9e11"
TARGET = f"/webhooks/twilio?ref={REFERENCE}"
TOKEN = "12345"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


class Many(dict[str, list[str]]):
    """Fields with several values, as the library takes them."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def signed(
    url: str, fields: dict[str, list[str]], token: str = TOKEN, algorithm: str = "HMAC_SHA1", **changes: str
) -> Inbound:
    signature = RequestValidator(token).compute_signature(url, Many(fields), algorithm)
    headers = {twilio.SIGNATURE: signature, "content-type": FORM}
    if algorithm != "HMAC_SHA1":
        headers[twilio.SETTINGS] = f"key=webhooks_sharedkey_1,algorithm={algorithm}"
    return Inbound(changes.get("target", TARGET), headers, urlencode(fields, doseq=True).encode())


STATUS = {"MessageSid": ["SM1"], "MessageStatus": ["delivered"], "To": ["+447700900001"], "From": ["ACME"]}


@pytest.mark.parametrize("algorithm", ["HMAC_SHA1", "HMAC_SHA256"])
@pytest.mark.parametrize(
    ("public_url", "signed_url"),
    [
        ("https://mail.example.com", "https://mail.example.com"),
        ("https://mail.example.com", "https://mail.example.com:443"),
        ("https://mail.example.com:8443", "https://mail.example.com:8443"),
        ("https://mail.example.com:8443", "https://mail.example.com"),
        ("http://mail.example.com/base", "http://mail.example.com:80/base"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[::1]:8000", "http://[::1]"),
    ],
)
def test_the_librarys_signature_is_genuine_with_and_without_port(
    algorithm: str, public_url: str, signed_url: str
) -> None:
    request = signed(signed_url + TARGET, STATUS, algorithm=algorithm)
    assert twilio.verify(request, public_url, [b"old", TOKEN.encode()])["MessageSid"] == "SM1"


def test_the_published_example_is_genuine() -> None:
    """The vector of the vendor's documentation and of its libraries' own tests."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
    request = Inbound(
        "/myapp.php?foo=1&bar=2", {twilio.SIGNATURE: "RSOYDt4T1cUTdK1PDd93/VVr8B8="}, urlencode(fields).encode()
    )
    assert twilio.verify(request, "https://mycompany.com", [b"12345"]) == fields


def test_fields_that_come_twice_are_signed_as_the_library_does() -> None:
    fields = {"b": ["2", "1", "1"], "a": ["x y", "é"], "c": [""]}
    request = signed("https://m.example" + TARGET, fields)
    assert twilio.verify(request, "https://m.example", [TOKEN.encode()])["b"] == "2"


@pytest.mark.parametrize(
    "request_",
    [
        signed("https://m.example" + TARGET, STATUS, token="another"),
        signed("https://other.example" + TARGET, STATUS),
        signed("https://m.example" + TARGET, STATUS, target=TARGET[:-1] + "2"),
        signed("https://m.example" + TARGET, STATUS)._replace(body=urlencode(STATUS | {"x": "y"}).encode()),
        signed("https://m.example" + TARGET, STATUS)._replace(headers={"content-type": FORM}),
        signed("https://m.example" + TARGET, STATUS)._replace(body=b"\xff"),
        Inbound(TARGET, {twilio.SETTINGS: "algorithm=HMAC_MD5", twilio.SIGNATURE: "x"}, b"a=b"),
    ],
)
def test_what_is_forged_is_refused(request_: Inbound) -> None:
    with pytest.raises(UnauthenticatedError):
        twilio.verify(request_, "https://m.example", [TOKEN.encode()])


def test_json_is_covered_by_the_digest_in_the_address() -> None:
    validator = RequestValidator(TOKEN)
    body = json.dumps({"MessageSid": "SM1", "MessageStatus": "sent", "NumSegments": 2, "ErrorCode": None})
    target = f"{TARGET}&bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature("https://m.example" + target, {})
    headers = {"content-type": "application/json", twilio.SIGNATURE: signature}
    request = Inbound(target, headers, body.encode())
    assert validator.validate("https://m.example" + target, body, signature)
    found = twilio.verify(request, "https://m.example", [TOKEN.encode()])
    assert found == {"MessageSid": "SM1", "MessageStatus": "sent", "NumSegments": "2"}
    for wrong in (request._replace(body=b"{}"), request._replace(target=TARGET)):
        with pytest.raises(UnauthenticatedError):
            twilio.verify(wrong, "https://m.example", [TOKEN.encode()])
    listed = f"{TARGET}&bodySHA256={validator.compute_hash('[]')}"
    headers = headers | {twilio.SIGNATURE: validator.compute_signature("https://m.example" + listed, {})}
    with pytest.raises(MalformedError):
        twilio.verify(Inbound(listed, headers, b"[]"), "https://m.example", [TOKEN.encode()])


@pytest.mark.parametrize(
    ("status", "code", "type_"),
    [
        *((status, "", "sent") for status in ("accepted", "scheduled", "queued", "sending", "sent")),
        *((status, "", "delivered") for status in ("delivered", "read")),
        ("undelivered", "30003", "soft_bounced"),
        ("undelivered", "", "soft_bounced"),
        ("undelivered", "99999", "soft_bounced"),
        *(("undelivered", code, "hard_bounced") for code in ("21211", "21614", "30005", "30006")),
        *(("failed", code, "hard_bounced") for code in ("21211", "21614", "30005", "30006")),
        ("failed", "30007", "refused"),
        ("failed", "", "refused"),
        ("canceled", "", "refused"),
        ("failed", "21610", "unsubscribed"),
        ("undelivered", "21610", "unsubscribed"),
        ("delivered", "30005", "delivered"),
    ],
)
def test_status_and_code_have_our_type(status: str, code: str, type_: str) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": code}
    (event,) = twilio.batch_of(fields, REFERENCE, NOW_MS).events
    assert (event.type, event.reference, event.external_id) == (type_, REFERENCE, "SM1")
    assert event.type in KINDS


def test_a_status_that_nobody_knows_is_kept_without_a_meaning() -> None:
    fields = {"MessageSid": "SM1", "SmsStatus": "partially_delivered", "To": "+447700900001"}
    (event,) = twilio.batch_of(fields, REFERENCE, NOW_MS).events
    assert event.type == "twilio.partially_delivered"
    assert "7700900001" not in str(event.detail["raw"])


def test_cost_segments_and_words_are_kept() -> None:
    fields = {"MessageStatus": "undelivered", "ErrorCode": "30003", "ErrorMessage": "+44 7700 900001 is off"}
    fields |= {"Price": "-0.04210", "PriceUnit": "gbp", "NumSegments": "2"}
    (event,) = twilio.batch_of(fields, REFERENCE, NOW_MS).events
    assert event.detail == {"code": 30003, "segments": 2, "cost_micros": 42_100, "cost_currency": "GBP"}
    assert event.reason_text == "twilio · undelivered · 30003 · … is off"
    for price in ({"Price": "", "PriceUnit": "USD"}, {"Price": "free", "PriceUnit": "USD"}, {"Price": "1"}):
        (event,) = twilio.batch_of({"MessageStatus": "sent", **price}, REFERENCE, NOW_MS).events
        assert event.detail == {}


def test_it_names_no_time_so_none_is_in_the_events_id() -> None:
    (event,) = twilio.batch_of({"MessageStatus": "queued"}, REFERENCE, NOW_MS).events
    assert (event.undated, event.time_ms, event.discriminator) == (True, NOW_MS, "queued")


@pytest.mark.parametrize(
    ("text", "more", "word"),
    [
        *((text, {}, "stop") for text in ("STOP", "stop", " Stop. ", "STOPALL", "stop all", "UNSUBSCRIBE", "Cancel!")),
        *((text, {}, "stop") for text in ("END", "quit", "“Stop”", "REVOKE", "OPTOUT")),
        *((text, {}, "start") for text in ("START", "Yes", "unstop")),
        *((text, {}, None) for text in ("stop it please", "", "no", "HELP", "Don't stop")),
        ("Arrêt", {"OptOutType": "STOP"}, "stop"),
        ("stop", {"OptOutType": "HELP"}, None),
    ],
)
def test_a_text_of_a_person_stops_or_lifts(text: str, more: dict[str, str], word: str | None) -> None:
    fields = {
        "MessageSid": "SM2",
        "SmsStatus": "received",
        "From": "+447700900001",
        "To": "+447700900999",
        "Body": text,
    }
    batch = twilio.batch_of(fields | more, "", NOW_MS)
    assert batch.events == []
    assert [(reply.word, reply.number, reply.sender) for reply in batch.replies] == (
        [(word, "+447700900001", "+447700900999")] if word else []
    )


def test_neither_a_status_nor_a_text_cannot_be_read() -> None:
    fields: dict[str, Any] = {"CallSid": "CA1"}
    with pytest.raises(MalformedError):
        twilio.batch_of(fields, "", NOW_MS)
