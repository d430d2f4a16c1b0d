"""What SES publishes about a message: the `Message` of an SNS notification for each step."""

from __future__ import annotations

from typing import Any

from fakes.records import Message
from fakes.sns import stamp

STEPS = {
    "sent": "Send",
    "deferred": "DeliveryDelay",
    "delivered": "Delivery",
    "soft_bounced": "Bounce",
    "bounced": "Bounce",
    "refused": "Reject",
    "opened": "Open",
    "clicked": "Click",
    "complained": "Complaint",
    "unsubscribed": "Subscription",
}


def event(message: Message, step: str, now: float) -> dict[str, Any]:
    """One event of event publishing."""
    kind = STEPS[step]
    key = "deliveryDelay" if kind == "DeliveryDelay" else kind.lower()
    return {"eventType": kind, "mail": mail(message), key: _detail(message, step, stamp(now))}


def mail(message: Message) -> dict[str, Any]:
    """The part that every event has."""
    headers = message.content.get("Headers") or []
    common = {name.lower(): value for name, value in headers}
    return {
        "timestamp": stamp(message.time),
        "source": message.sender,
        "sourceArn": f"arn:aws:ses:us-east-1:123456789012:identity/{message.sender.rpartition('@')[2]}",
        "sendingAccountId": "123456789012",
        "messageId": message.id.partition("+")[0],
        "destination": [message.address],
        "headersTruncated": False,
        "headers": [{"name": name, "value": value} for name, value in headers],
        "commonHeaders": {
            "from": [common.get("from", message.sender)],
            "to": [common.get("to", message.address)],
            "messageId": message.id.partition("+")[0],
            "subject": message.subject,
        },
        "tags": {
            "ses:configuration-set": [message.content.get("ConfigurationSetName") or "none"],
            "ses:operation": ["SendEmail"],
            **{name: [value] for name, value in message.metadata.items()},
        },
    }


def _detail(message: Message, step: str, at: str) -> dict[str, Any]:
    address, client = message.address, {"ipAddress": "192.0.2.1", "timestamp": at, "userAgent": "Fake/1.0"}
    details: dict[str, dict[str, Any]] = {
        "sent": {},
        "delivered": {
            "timestamp": at,
            "processingTimeMillis": 1,
            "recipients": [address],
            "smtpResponse": "250 2.0.0 OK",
            "reportingMTA": "a1-1.smtp-out.amazonses.com",
        },
        "deferred": {
            "timestamp": at,
            "delayType": "MailboxFull",
            "expirationTime": at,
            "delayedRecipients": [{"emailAddress": address, "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2"}],
        },
        "soft_bounced": _bounce(address, "Transient", "MailboxFull", "4.2.2", at),
        "bounced": _bounce(address, "Permanent", "General", "5.1.1", at),
        "refused": {"reason": "Bad content"},
        "opened": client,
        "clicked": client | {"link": "https://example.com/", "linkTags": None},
        "complained": {
            "feedbackId": f"feedback-{message.id}",
            "complaintSubType": None,
            "complainedRecipients": [{"emailAddress": address}],
            "timestamp": at,
            "userAgent": "Fake/1.0",
            "complaintFeedbackType": "abuse",
            "arrivalDate": at,
        },
        "unsubscribed": {
            "contactList": "list",
            "timestamp": at,
            "source": "UnsubscribeHeader",
            "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
            "oldTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": []},
        },
    }
    return details[step]


def _bounce(address: str, kind: str, subtype: str, status: str, at: str) -> dict[str, Any]:
    return {
        "feedbackId": f"feedback-{kind}-{address}",
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [
            {
                "emailAddress": address,
                "action": "failed",
                "status": status,
                "diagnosticCode": f"smtp; {status[0]}50 {status}",
            }
        ],
        "timestamp": at,
        "reportingMTA": "dns; a1-1.smtp-out.amazonses.com",
    }
