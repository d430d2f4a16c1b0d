"""The rules for what all recipients share: the table of `docs/http-api.md`, one function a topic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit.sms.numbers import COUNTRIES
from services.intake.addresses import parse_mailbox
from services.intake.config import Config
from services.intake.paths import check_path
from services.intake.streams import check_stream
from services.intake.texts import check_text_needs, sender_of
from services.intake.violations import Violations

TimeField = Literal["send_at", "expires_at"]
MAX_TAGS = 50
MAX_TAG_CHARS = 256
_MAX_AHEAD_MS = round(timedelta(days=31).total_seconds() * 1000)
_GROUP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_COMPANY = re.compile(r"[a-z0-9_-]{1,64}")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_BREAK = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_HEADERS = 50
_MAX_HEADER_CHARS = 2000
_MAX_SUBJECT_CHARS = 10_000
_MAX_SUBACCOUNT_CHARS = 255
_KNOWN_METHODS = frozenset(["mandrill", "ses", "smtp", "email", "sms", "test"])
_OWN_HEADERS = frozenset(
    [
        *("date", "message-id", "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "return-path"),
        *("mime-version", "auto-submitted", "x-morpheus-ref", "feedback-id", "dkim-signature"),
        *("list-unsubscribe", "list-unsubscribe-post", "content-type", "content-transfer-encoding"),
        *("content-disposition", "content-id", "content-description"),
    ]
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a header means here and now."""

    provider_method: str
    email_only: bool
    """Every recipient is email, whatever its address."""
    sms_only: bool = False
    """Every recipient is a telephone number."""


def check_identity(header: GroupHeader, violations: Violations) -> None:
    """Group, company, part."""
    if not _GROUP_ID.fullmatch(header.group_id):
        violations.add("group_id", "1 to 64 of A-Za-z0-9._- are required")
    if not _COMPANY.fullmatch(header.company_code):
        violations.add("company_code", "1 to 64 of a-z0-9_- are required")
    if header.part < 0:
        violations.add("part", "must not be negative")
    if header.HasField("parts"):
        if header.parts < 1:
            violations.add("parts", "must be at least 1")
        elif header.part >= header.parts:
            violations.add("part", "must be below parts")


def check_header(header: GroupHeader, config: Config, now_ms: int, violations: Violations) -> Resolved:
    """Everything but identity and context; `now_ms` judges `send_at`."""
    for name in header.unsupported:
        violations.add_unsupported(name)
    resolved = _check_method(header, config, violations)
    _check_templates(header, resolved, config.buckets, violations)
    _check_subaccount(header, violations)
    _check_addresses(header, resolved, violations)
    check_tags("tags", list(header.tags), violations)
    _check_mail_headers(header, violations)
    _check_words(header, violations)
    check_stream(header, config.public_url, violations)
    _check_times(header, now_ms, violations)
    return resolved


def _check_method(header: GroupHeader, config: Config, violations: Violations) -> Resolved:
    method = header.method
    if method not in _KNOWN_METHODS:
        violations.add("method", f"must be one of {', '.join(sorted(_KNOWN_METHODS))}")
    elif method not in config.methods:
        violations.add("method", f"{method} is not configured here")
    elif method == "email" and not config.email_route:
        violations.add("method", "nothing is configured that email could be sent by")
    return Resolved(method, email_only=method not in {"sms", "test"}, sms_only=method == "sms")


def _check_subaccount(header: GroupHeader, violations: Violations) -> None:
    if not header.HasField("subaccount"):
        return
    if header.method != "mandrill":
        violations.add("subaccount", "only with method mandrill")
    elif not 1 <= len(header.subaccount.strip()) <= _MAX_SUBACCOUNT_CHARS:
        violations.add("subaccount", f"1 to {_MAX_SUBACCOUNT_CHARS} characters are required")


def _check_templates(header: GroupHeader, resolved: Resolved, buckets: frozenset[str], violations: Violations) -> None:
    check_path("inner_template", header.inner_template, violations, buckets=buckets)
    if header.HasField("outer_template"):
        check_path("outer_template", header.outer_template, violations, buckets=buckets)
    if len(header.subject_template) > _MAX_SUBJECT_CHARS:
        violations.add("subject_template", f"at most {_MAX_SUBJECT_CHARS} characters")
    if resolved.email_only:
        check_email_needs(header, violations)


def check_email_needs(header: GroupHeader, violations: Violations) -> None:
    """What is required as soon as one recipient is email."""
    if not header.HasField("outer_template"):
        violations.add("outer_template", "is required for email")
    if not header.subject_template.strip():
        violations.add("subject_template", "is required for email")


def check_mail_sender(header: GroupHeader, violations: Violations) -> None:
    """Who an email may come from."""
    if parse_mailbox(header.from_address) is None:
        violations.add("from_address", "an address, or `Name <address>`, is required")


def _check_addresses(header: GroupHeader, resolved: Resolved, violations: Violations) -> None:
    if header.HasField("country_code") and header.country_code not in COUNTRIES:
        violations.add("country_code", "two capital letters of ISO 3166 are required, as GB")
    if resolved.sms_only:
        check_text_needs(header, violations)
        return
    # With `test` the recipients decide which of the two it must be.
    if resolved.email_only or sender_of(header) is None:
        check_mail_sender(header, violations)
    if header.HasField("reply_to") and parse_mailbox(header.reply_to) is None:
        violations.add("reply_to", "must be an address, or `Name <address>`")


def withheld_of(header: GroupHeader) -> list[str] | None:
    """What is not recorded, as `QueuedMessage.withheld` has it."""
    if header.record == "no_body":
        return []
    return sorted(set(header.redact)) or None


def check_tags(path: str, tags: list[str], violations: Violations) -> None:
    """At most 50, each 1 to 256 characters."""
    check_names(path, tags, "tags", violations)


def check_names(path: str, names: list[str], what: str, violations: Violations) -> None:
    """At most 50, each 1 to 256 characters."""
    if len(names) > MAX_TAGS:
        violations.add(path, f"at most {MAX_TAGS} {what}")
        return
    for index, name in enumerate(names):
        if not 1 <= len(name) <= MAX_TAG_CHARS:
            violations.add(f"{path}[{index}]", f"1 to {MAX_TAG_CHARS} characters are required")


def _check_mail_headers(header: GroupHeader, violations: Violations) -> None:
    if len(header.headers) > _MAX_HEADERS:
        violations.add("headers", f"at most {_MAX_HEADERS} headers")
        return
    for name, value in header.headers.items():
        path = f"headers.{name[:64]}"
        if not _HEADER_NAME.fullmatch(name):
            violations.add(path, "is not a header name")
        elif name.lower() in _OWN_HEADERS or name.lower().startswith("resent-"):
            violations.add(path, "is set by Morpheus")
        elif _BREAK.search(value):
            violations.add(path, "must not hold a line break or another control character")
        elif len(value) > _MAX_HEADER_CHARS:
            violations.add(path, f"at most {_MAX_HEADER_CHARS} characters")


def _check_words(header: GroupHeader, violations: Violations) -> None:
    if header.priority not in {"", "normal", "high"}:
        violations.add("priority", "must be normal or high")
    if header.missing_variables not in {"", "error", "empty"}:
        violations.add("missing_variables", "must be error or empty")
    if header.HasField("on_uncertain") and header.on_uncertain not in {"resend", "give_up"}:
        violations.add("on_uncertain", "must be resend or give_up")
    if header.HasField("record") and header.record not in {"full", "no_body"}:
        violations.add("record", "must be full or no_body")
    check_names("redact", list(header.redact), "keys", violations)


def _check_times(header: GroupHeader, now_ms: int, violations: Violations) -> None:
    send_ms, expires_ms = time_ms(header, "send_at"), time_ms(header, "expires_at")
    if send_ms > now_ms + _MAX_AHEAD_MS:
        violations.add("send_at", "at most 31 days ahead")
    if send_ms and expires_ms and expires_ms <= send_ms:
        violations.add("expires_at", "must be after send_at")


def time_ms(header: GroupHeader, name: TimeField) -> int:
    """Milliseconds since the epoch; 0 where it is not given (before 1970: as past as 1)."""
    if not header.HasField(name):
        return 0
    stamp: Timestamp = getattr(header, name)
    return max(1, stamp.seconds * 1000 + stamp.nanos // 1_000_000)
