"""What is asked of a group that goes out as text messages, and of each of its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit.reasons import TEXTS, ReasonCode
from morpheus_kit.sms.numbers import COUNTRIES, DEFAULT_COUNTRY, NumberError, parse_number
from morpheus_kit.sms.senders import SenderError, SenderKind, is_refused, parse_sender
from morpheus_kit.wire import Recipient
from services.intake.violations import Violations

_FOR_EMAIL = "is for email only: a text message has none"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why one recipient gets nothing."""

    code: ReasonCode
    text: str


def country_of(header: GroupHeader) -> str:
    """Of numbers written without one; what is no country is refused elsewhere."""
    return header.country_code if header.country_code in COUNTRIES else DEFAULT_COUNTRY


def sender_of(header: GroupHeader) -> tuple[SenderKind, str] | None:
    """Kind and wire form of `from_address`; None when it is no sender of text messages."""
    try:
        return parse_sender(header.from_address, country_of(header))
    except SenderError:
        return None


def check_text_needs(header: GroupHeader, violations: Violations) -> None:
    """What holds as soon as one recipient is a number."""
    for name, given in (
        ("outer_template", header.HasField("outer_template")),
        ("subject_template", header.HasField("subject_template")),
        ("reply_to", header.HasField("reply_to")),
        ("headers", bool(header.headers)),
    ):
        if given:
            violations.add(name, _FOR_EMAIL)
    if sender_of(header) is None:
        words = "a sender id of at most 11 letters and digits, or a telephone number, is required"
        violations.add("from_address", words)


def check_no_files(place: str, recipient: Recipient, violations: Violations) -> None:
    """Nothing is ever sent without a part that it should have."""
    if recipient.pdf_attachments:
        violations.add(f"{place}.pdf_attachments", _FOR_EMAIL)
    if recipient.s3_attachments:
        violations.add(f"{place}.s3_attachments", _FOR_EMAIL)


class Numbers:
    """Judges the numbers of one group."""

    def __init__(self, header: GroupHeader) -> None:
        """`header` may still hold faults; they are others' to tell."""
        self._country = country_of(header)
        self._sender = sender_of(header)

    def judge(self, address: str) -> str | Refused:
        """The number in E.164, or why nothing can go to it."""
        try:
            number = parse_number(address, self._country)
        except NumberError as exc:
            return Refused(ReasonCode.ADDRESS_INVALID, f"The number is not a valid one: {exc}.")
        if self._sender is not None and is_refused(self._sender[0], number.country):
            text = f"{TEXTS[ReasonCode.SENDER_REFUSED]} ({number.country}: no {self._sender[0].value} sender)"
            return Refused(ReasonCode.SENDER_REFUSED, text)
        return number.e164
