"""SES through SNS: whose post it is, and what each of its words becomes. Signed by a certificate made here."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from morpheus_kit.clock import ManualClock
from morpheus_kit.errors import MalformedError, UnauthenticatedError, UnavailableError
from services.tracker.states import KINDS
from services.tracker.webhooks import ses
from services.tracker.webhooks.base import Inbound
from services.tracker.webhooks.hosts import hosts_of, is_pinned

NOW_MS = 1_790_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:receipts"
HOST = "sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"https://{HOST}/SimpleNotificationService-0a1b.pem"
REFERENCE = "202609-000-0a1b2c3d-7d9f4d1c-2c59-5d3e-8a54-0a5c8f3a9e11"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certify(key: Any, days: int = 30) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - timedelta(days=9))
    return builder.not_valid_after(NOW + timedelta(days=days)).sign(key, hashes.SHA256())


class FakeAmazon:
    """Certificates by their address, and what was confirmed."""

    def __init__(self, certificate: x509.Certificate | None = None) -> None:
        self.certificates = {CERTIFICATE_URL: certificate or certify(KEY)}
        self.confirmed: list[str] = []
        self.asked: list[str] = []

    async def certificate(self, url: str) -> x509.Certificate:
        self.asked.append(url)
        return self.certificates[url]

    async def confirm(self, url: str) -> None:
        self.confirmed.append(url)


def webhook(amazon: FakeAmazon) -> ses.SesWebhook:
    return ses.SesWebhook(amazon, [TOPIC], [HOST], ManualClock(NOW_MS))


def envelope(version: str = "1", key: rsa.RSAPrivateKey = KEY, **changes: Any) -> dict[str, Any]:
    """Signed as AWS documents it: names and values on lines of their own, in the order of names."""
    fields = {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification",
        "Message": json.dumps(told("Delivery", {"timestamp": "2026-09-21T10:00:00.123Z"})),
        "Timestamp": "2026-09-21T10:00:01.000Z",
    }
    fields |= {name: value for name, value in changes.items() if value is not ...}
    fields = {name: value for name, value in fields.items() if changes.get(name) is not ...}
    names = ["Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), digest)).decode()
    return fields | {"SignatureVersion": version, "Signature": signature, "SigningCertURL": CERTIFICATE_URL}


def inbound(fields: object, **headers: str) -> Inbound:
    return Inbound("/webhooks/ses", headers, json.dumps(fields).encode())


def told(word: str, detail: Any = None, key: str = "", **mail: Any) -> dict[str, Any]:
    found = {"timestamp": "2026-09-21T09:59:59.500Z", "messageId": "0100", "destination": ["ada@example.com"]}
    found |= {"tags": {"reference": [REFERENCE], "ses:operation": ["SendEmail"]}} | mail
    return {"eventType": word, "mail": found, key or word.lower(): detail}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", ["Amazon SES", ...])
async def test_both_versions_are_verified_with_and_without_a_subject(version: str, subject: Any) -> None:
    batch = await webhook(FakeAmazon()).read(inbound(envelope(version, Subject=subject)))
    (event,) = batch.events
    assert (event.reference, event.type, event.external_id) == (REFERENCE, "delivered", "0100")
    assert event.time_ms % 1000 == 123


FORGED: dict[str, Any] = {
    "no JSON": b"eventType",
    "a list": b"[]",
    "not text": b"\xff",
    "another key": envelope(key=OTHER_KEY),
    "another message": envelope() | {"Message": "{}"},
    "another version": envelope("2") | {"SignatureVersion": "1"},
    "an unknown version": envelope() | {"SignatureVersion": "3"},
    "no signature": envelope() | {"Signature": ""},
    "no base64": envelope() | {"Signature": "***"},
    "another topic": envelope(TopicArn=TOPIC.replace("123456789012", "210987654321")),
    "another type": envelope() | {"Type": "Request"},
    "a foreign host": envelope() | {"SigningCertURL": "https://sns.evil.example/SimpleNotificationService-0a1b.pem"},
    "a host in front": envelope() | {"SigningCertURL": f"https://{HOST}.evil.example/x.pem"},
    "a user": envelope() | {"SigningCertURL": f"https://{HOST}@evil.example/x.pem"},
    "http": envelope() | {"SigningCertURL": CERTIFICATE_URL.replace("https", "http")},
    "no certificate": envelope() | {"SigningCertURL": f"https://{HOST}/?Action=x.pem"},
}


@pytest.mark.parametrize("name", FORGED)
async def test_what_is_forged_is_refused(name: str) -> None:
    fields = FORGED[name]
    request = Inbound("/webhooks/ses", {}, fields) if isinstance(fields, bytes) else inbound(fields)
    amazon = FakeAmazon()
    with pytest.raises(UnauthenticatedError):
        await webhook(amazon).read(request)
    assert set(amazon.asked) <= {CERTIFICATE_URL}


async def test_raw_delivery_is_refused() -> None:
    with pytest.raises(UnauthenticatedError, match="Raw message delivery"):
        await webhook(FakeAmazon()).read(inbound(told("Send", {}), **{"x-amz-sns-rawdelivery": "true"}))


@pytest.mark.parametrize("certificate", [certify(KEY, days=-1), certify(ec.generate_private_key(ec.SECP256R1()))])
async def test_a_certificate_that_is_over_or_no_rsa_proves_nothing(certificate: x509.Certificate) -> None:
    with pytest.raises(UnauthenticatedError):
        await webhook(FakeAmazon(certificate)).read(inbound(envelope()))


async def test_an_outage_of_sns_is_no_forgery() -> None:
    class Away(FakeAmazon):
        async def certificate(self, url: str) -> x509.Certificate:
            raise UnavailableError

    with pytest.raises(UnavailableError):
        await webhook(Away()).read(inbound(envelope()))


async def test_a_subscription_is_confirmed_only_at_a_pinned_host() -> None:
    amazon = FakeAmazon()
    good = f"https://{HOST}/?Action=ConfirmSubscription&Token=t"
    confirmation: dict[str, Any] = {
        "Type": "SubscriptionConfirmation",
        "Token": "t",
        "Message": "You have chosen",
        "Subject": ...,
    }
    assert (await webhook(amazon).read(inbound(envelope(SubscribeURL=good, **confirmation)))).events == []
    assert amazon.confirmed == [good]
    with pytest.raises(MalformedError):
        await webhook(amazon).read(inbound(envelope(SubscribeURL="https://evil.example/?Token=t", **confirmation)))
    with pytest.raises(UnauthenticatedError):
        await webhook(amazon).read(inbound(envelope(SubscribeURL=good, **confirmation) | {"SubscribeURL": good + "x"}))
    over = envelope(SubscribeURL=good, **(confirmation | {"Type": "UnsubscribeConfirmation"}))
    assert (await webhook(amazon).read(inbound(over))).events == []
    assert amazon.confirmed == [good]


@pytest.mark.parametrize(
    ("word", "key", "detail", "type_", "state"),
    [
        ("Send", "send", {}, "sent", "sent"),
        ("DeliveryDelay", "deliveryDelay", {"delayType": "MailboxFull"}, "provider_deferred", "deferred"),
        ("Delivery", "delivery", {}, "delivered", "delivered"),
        ("Bounce", "bounce", {"bounceType": "Permanent", "bounceSubType": "General"}, "hard_bounced", "bounced"),
        ("Bounce", "bounce", {"bounceType": "Transient"}, "soft_bounced", "bounced"),
        ("Bounce", "bounce", {"bounceType": "Undetermined"}, "soft_bounced", "bounced"),
        ("Bounce", "bounce", {"bounceType": "Novel"}, "soft_bounced", "bounced"),
        ("Reject", "reject", {"reason": "Bad content"}, "refused", "failed"),
        ("Rendering Failure", "failure", {"errorMessage": "no name"}, "refused", "failed"),
        ("Open", "open", {}, "opened", "opened"),
        ("Click", "click", {"link": "https://a/"}, "clicked", "clicked"),
        ("Complaint", "complaint", {"complaintFeedbackType": "abuse"}, "complained", "complained"),
        (
            "Subscription",
            "subscription",
            {"newTopicPreferences": {"unsubscribeAll": True}},
            "unsubscribed",
            "unsubscribed",
        ),
        (
            "Subscription",
            "subscription",
            {"newTopicPreferences": {"topicSubscriptionStatus": [{"subscriptionStatus": "OptOut"}]}},
            "unsubscribed",
            "unsubscribed",
        ),
    ],
)
def test_each_word_has_our_type(word: str, key: str, detail: dict[str, Any], type_: str, state: str) -> None:
    (event,) = ses.events_of(json.dumps(told(word, detail, key))).events
    assert (event.type, KINDS[event.type].state, event.source, event.provider) == (type_, state, "ses", "ses")


@pytest.mark.parametrize("word", ["Teleport", "sent", "Subscription"])
def test_a_word_that_nobody_knows_is_kept_without_a_meaning(word: str) -> None:
    optin = {"newTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": []}}
    (event,) = ses.events_of(json.dumps(told(word, optin))).events
    assert event.type == f"ses.{word}"
    assert event.type not in KINDS
    assert "ada@" not in str(event.detail["raw"])


def test_its_own_time_its_words_and_its_address_are_kept() -> None:
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "NoEmail",
        "timestamp": "2026-09-21T10:00:00.007Z",
        "bouncedRecipients": [{"emailAddress": "a@b.example", "diagnosticCode": "smtp; 550 <a@b.example> unknown"}],
    }
    (event,) = ses.events_of(json.dumps(told("Bounce", bounce))).events
    assert (event.time_ms % 1000, event.reason_text) == (7, "NoEmail · smtp; 550 <…> unknown")
    (click,) = ses.events_of(json.dumps(told("Click", {"link": "https://a/"}))).events
    assert (click.discriminator, click.detail) == ("https://a/", {"url": "https://a/"})
    (sent,) = ses.events_of(json.dumps(told("Send", {}))).events
    assert sent.time_ms % 1000 == 500
    (delivered,) = ses.events_of(json.dumps(told("Delivery", {"smtpResponse": "250 ok a@b.example"}))).events
    assert delivered.detail == {"response": "250 ok …"}


def test_the_header_names_the_message_where_there_is_no_tag() -> None:
    headers = [{"name": "From", "value": "x"}, {"name": "X-Morpheus-Ref", "value": REFERENCE}]
    (event,) = ses.events_of(json.dumps(told("Open", {}, tags={}, headers=headers))).events
    assert event.reference == REFERENCE
    (foreign,) = ses.events_of(json.dumps(told("Open", {}, tags=None))).events
    assert foreign.reference == ""


@pytest.mark.parametrize(
    "message",
    [
        *("", "text", "[]", "{}", '{"mail": {}}', '{"eventType": "Open"}'),
        *(json.dumps(told(*each)) for each in (("", {}), ("Open", {"timestamp": "yesterday"}))),
        json.dumps(told("Open", {}, tags=[])),
    ],
)
def test_what_is_no_event_cannot_be_read(message: str) -> None:
    with pytest.raises(MalformedError):
        ses.events_of(message)


def test_the_greeting_of_ses_is_no_event() -> None:
    assert ses.events_of("Successfully validated SNS topic for Amazon SES event publishing.").events == []


@pytest.mark.parametrize(
    ("url", "pinned"),
    [
        (f"https://{HOST}/x", True),
        (f"https://{HOST.upper()}:443/x", True),
        (f"https://{HOST}:8443/x", False),
        (f"http://{HOST}/x", False),
        ("http://127.0.0.1:8401/x", True),
        ("https://127.0.0.1:8401/x", True),
        ("http://127.0.0.1:8402/x", False),
        ("http://[::1]:8401/x", False),
        ("ftp://127.0.0.1:8401/x", False),
        ("https://user@127.0.0.1:8401/x", False),
        ("https://127.0.0.1:port/x", False),
        ("", False),
    ],
)
def test_hosts_are_pinned_with_their_port(url: str, pinned: bool) -> None:
    assert is_pinned(url, {HOST, "127.0.0.1:8401"}) is pinned


def test_the_hosts_follow_from_the_topics() -> None:
    assert hosts_of([TOPIC, "arn:aws-cn:sns:cn-north-1:1:t"]) == {HOST, "sns.cn-north-1.amazonaws.com.cn"}
    for wrong in ("", "receipts", "arn:aws:sqs:eu-west-1:1:t", "arn:aws:sns::1:t"):
        with pytest.raises(ValueError, match="not the ARN"):
            hosts_of([wrong])
