"""SES: its event publishing, one event in each post of an SNS topic."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.queue.schema import Event
from morpheus_kit.reasons import ReasonCode
from services.tracker.webhooks import sns
from services.tracker.webhooks.base import (
    Batch,
    Detail,
    Inbound,
    known_type,
    malformed,
    masked,
    millis_of_text,
    raw_detail,
    words_of,
)
from services.tracker.webhooks.hosts import is_pinned

log = logs.get_logger(__name__)
NAME = "ses"
REFERENCE_TAG, REFERENCE_HEADER = "reference", "x-morpheus-ref"

TYPES = {
    "Send": "sent",
    "DeliveryDelay": "provider_deferred",
    "Delivery": "delivered",
    "Bounce": "soft_bounced",
    "Reject": "refused",
    "Rendering Failure": "refused",
    "RenderingFailure": "refused",
    "Open": "opened",
    "Click": "clicked",
    "Complaint": "complained",
}
"""SES's word for an event → ours; a bounce may be hard, and a subscription may be an opt-out."""

HARD_BOUNCES = frozenset(["Permanent"])
"""Types of bounces after which the address must not be written to; any other is soft."""

DETAILS = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure", "RenderingFailure": "failure"}
"""Where an event has its detail, unless it is its word in lower case."""

_VALIDATION = "Successfully validated SNS topic"
"""What SES writes to a topic that it is told to publish to."""


class _Mail(msgspec.Struct):
    timestamp: str
    message_id: str = msgspec.field(name="messageId", default="")
    tags: dict[str, list[str]] | None = None
    headers: list[dict[str, Any]] | None = None


class _Told(msgspec.Struct):
    mail: _Mail
    event_type: str = msgspec.field(name="eventType", default="")
    notification_type: str = msgspec.field(name="notificationType", default="")


_told = msgspec.json.Decoder(_Told)
_whole = msgspec.json.Decoder(dict[str, Any])


class Sns(sns.Certificates, Protocol):
    """What has to be fetched."""

    async def confirm(self, url: str) -> None:
        """Opens the address that confirms a subscription."""
        ...


class SesWebhook:
    """The topics of one or more configuration sets."""

    name = NAME

    def __init__(self, amazon: Sns, topics: Collection[str], hosts: Collection[str], clock: Clock) -> None:
        """`topics` as ARNs; `hosts` as `host` or `host:port`, where certificates and confirmations may be."""
        self._amazon = amazon
        self._topics = frozenset(topics)
        self._hosts = frozenset(hosts)
        self._clock = clock

    async def read(self, inbound: Inbound) -> Batch:
        """UnauthenticatedError, MalformedError; UnavailableError when SNS has to be asked and does not answer."""
        fields = sns.envelope_of(inbound, self._topics)
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        await sns.verify(fields, self._amazon, self._hosts, now)
        if fields["Type"] == "Notification":
            return events_of(fields.get("Message", ""))
        if fields["Type"] == "SubscriptionConfirmation":
            await self._confirm(fields.get("SubscribeURL", ""), fields["TopicArn"])
        return Batch()

    async def _confirm(self, url: str, topic: str) -> None:
        if not is_pinned(url, self._hosts):
            raise malformed("SubscribeURL is not at a host of MORPHEUS_SNS_CERT_HOSTS")
        await self._amazon.confirm(url)
        log.info("sns_subscription_confirmed", topic=topic)


def events_of(message: str) -> Batch:
    """The event of a verified notification. MalformedError."""
    if message.startswith(_VALIDATION):
        return Batch()
    try:
        told, whole = _told.decode(message), _whole.decode(message)
        word = told.event_type or told.notification_type
        if not word:
            raise malformed("its message has no eventType")
        found = whole.get(DETAILS.get(word, word.lower()))
        return Batch([_event(word, told.mail, found if isinstance(found, dict) else {}, message)])
    except ValueError as exc:
        raise malformed("its message is no event of SES") from exc


def _event(word: str, mail: _Mail, detail: Mapping[str, Any], message: str) -> Event:
    type_ = _type(word, detail)
    code, text = _reason(word, type_, detail)
    # Sending and refusing have no time of their own.
    time_ms = millis_of_text(detail.get("timestamp") or mail.timestamp)
    link = str(detail.get("link") or "") if type_ == "clicked" else ""
    kept = raw_detail(message.encode()) if type_.startswith(f"{NAME}.") else _kept(word, detail)
    return Event(_reference(mail), type_, 0, time_ms, NAME, code, text, link, NAME, mail.message_id, 0, kept)


def _type(word: str, detail: Mapping[str, Any]) -> str:
    if word == "Bounce" and detail.get("bounceType") in HARD_BOUNCES:
        return "hard_bounced"
    if word == "Subscription" and _is_opt_out(detail.get("newTopicPreferences")):
        return "unsubscribed"
    return known_type(NAME, word, TYPES)


def _is_opt_out(preferences: object) -> bool:
    if not isinstance(preferences, dict):
        return False
    topics = preferences.get("topicSubscriptionStatus") or []
    statuses = [topic.get("subscriptionStatus") for topic in topics if isinstance(topic, dict)]
    return preferences.get("unsubscribeAll") is True or "OptOut" in statuses


def _reference(mail: _Mail) -> str:
    """The tag that every message of ours has; where tags were taken off, the header."""
    tagged = (mail.tags or {}).get(REFERENCE_TAG)
    if tagged:
        return tagged[0]
    named = [header for header in mail.headers or [] if str(header.get("name", "")).lower() == REFERENCE_HEADER]
    return str(named[0].get("value", "")) if named else ""


def _reason(word: str, type_: str, detail: Mapping[str, Any]) -> tuple[str, str]:
    if type_ == "refused":
        text = detail.get("reason") or detail.get("errorMessage")
        template = ReasonCode.PROVIDER_CONFIGURATION if word.startswith("Rendering") else ReasonCode.PROVIDER_REFUSED
        return template, words_of(NAME, text)
    if word == "Bounce":
        return "", words_of(detail.get("bounceSubType"), _diagnostic(detail.get("bouncedRecipients")))
    if word == "DeliveryDelay":
        return "", words_of(detail.get("delayType"), _diagnostic(detail.get("delayedRecipients")))
    return "", ""


def _diagnostic(recipients: object) -> str:
    """The other server's words; a message of ours has one recipient."""
    if not isinstance(recipients, list) or not recipients or not isinstance(recipients[0], dict):
        return ""
    return str(recipients[0].get("diagnosticCode") or recipients[0].get("status") or "")


def _kept(word: str, detail: Mapping[str, Any]) -> Detail:
    kept: Detail = {}
    if word == "Click" and detail.get("link"):
        kept["url"] = str(detail["link"])
    if word == "Delivery" and detail.get("smtpResponse"):
        kept["response"] = masked(str(detail["smtpResponse"]))[:500]
    for name in ("bounceType", "bounceSubType", "complaintFeedbackType", "complaintSubType", "delayType"):
        if isinstance(detail.get(name), str):
            kept[name] = detail[name]
    return kept
