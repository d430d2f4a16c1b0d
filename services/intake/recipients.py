"""Recipients of one part: judged, numbered, packed as pending elements; called for every message."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from morpheus.intake.v1.intake_pb2 import GroupHeader, RejectedRecipient

from morpheus_kit.errors import InvalidInputError
from morpheus_kit.ids import message_id
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.schema import VERSION, Event, MessageRecord, PdfSource, QueuedMessage, StoredFile, pack
from morpheus_kit.queue.withholding import kept_message
from morpheus_kit.reasons import ReasonCode
from morpheus_kit.sms.numbers import looks_like_number
from morpheus_kit.wire import EMPTY_MAP, Recipient
from services.intake.addresses import is_possible, why_impossible
from services.intake.header import check_email_needs, check_mail_sender, check_tags, withheld_of
from services.intake.paths import check_file_name, check_path
from services.intake.texts import Numbers, Refused, check_no_files, check_text_needs, sender_of
from services.intake.violations import Violations

MAX_REJECTED = 100_000
_MAX_ADDRESS_CHARS = 320
_KEPT_BYTES = 32 * 1024 * 1024
_NIL = b"\xc0"
_NO_CONTEXT = msgspec.Raw(EMPTY_MAP)


@dataclass(slots=True)
class Part:
    """What one upload has brought so far."""

    header: GroupHeader
    email_only: bool
    accepted_at_ms: int
    violations: Violations
    buckets: frozenset[str] = frozenset()
    total: int = 0
    duplicates: int = 0
    rejected: list[RejectedRecipient] = field(default_factory=list)
    rejected_blobs: list[bytes] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    sms_only: bool = False
    _has_email: bool = False
    _numbers: Numbers | None = None
    _kept_bytes: int = 0
    _withheld: list[str] | None = field(init=False)

    def __post_init__(self) -> None:
        self._withheld = withheld_of(self.header)

    @property
    def accepted(self) -> int:
        """Recipients that are queued."""
        return self.total - len(self.rejected)

    def add(self, recipients: list[Recipient]) -> list[bytes]:
        """Pending elements of those that go out, in posting order."""
        return [pack_element(message.id, pack(message)) for message in self.accept(recipients)]

    def accept(self, recipients: list[Recipient]) -> list[QueuedMessage]:
        """Messages to those that go out, in posting order."""
        messages = []
        for index, recipient in enumerate(recipients, self.total):
            judged = self._judge(index, recipient)
            if isinstance(judged, Refused):
                self._count_address(recipient.address)
                self._reject(index, recipient, judged)
                continue
            self._count_address(judged)
            if recipient.tags or recipient.pdf_attachments or recipient.s3_attachments:
                self._check_extras(index, recipient)
            messages.append(self._with_files(index, recipient, judged))
        self.total += len(recipients)
        return messages

    def _count_address(self, address: str) -> None:
        # Hashes, not strings: a part may hold a million addresses.
        mark = hash(address.casefold())
        if mark in self._seen:
            self.duplicates += 1
        else:
            self._seen.add(mark)

    def _judge(self, index: int, recipient: Recipient) -> str | Refused:
        """The address as it is queued, or why nothing can go to it."""
        address = recipient.address
        if self.sms_only or ("@" not in address and not self.email_only and looks_like_number(address)):
            return self._judge_number(index, recipient)
        if "@" in address:
            if not self._has_email:
                self._has_email = True
                if not self.email_only:
                    check_email_needs(self.header, self.violations)
                    if sender_of(self.header) is not None:  # else it was told before
                        check_mail_sender(self.header, self.violations)
            if is_possible(address):
                return address
        return Refused(ReasonCode.ADDRESS_INVALID, why_impossible(address))

    def _judge_number(self, index: int, recipient: Recipient) -> str | Refused:
        if self._numbers is None:
            self._numbers = Numbers(self.header)
            if not self.sms_only:
                check_text_needs(self.header, self.violations)
        check_no_files(f"recipients[{index}]", recipient, self.violations)
        return self._numbers.judge(recipient.address)

    def _reject(self, index: int, recipient: Recipient, why: Refused) -> None:
        if len(self.rejected) >= MAX_REJECTED:
            raise InvalidInputError.of("recipients", f"more than {MAX_REJECTED} impossible addresses")
        address = recipient.address[:_MAX_ADDRESS_CHARS]
        self.rejected.append(RejectedRecipient(index=index, address=address, code=why.code, text=why.text))
        # Nothing is ever made of it, so its files are not kept, nor more contexts than fit into one entry.
        context = recipient.context if self._kept_bytes < _KEPT_BYTES else _NO_CONTEXT
        blob = pack(kept_message(self._message(index, recipient, address, context)))
        self._kept_bytes += len(blob)
        self.rejected_blobs.append(blob)

    def _with_files(self, index: int, recipient: Recipient, address: str) -> QueuedMessage:
        message = self._message(index, recipient, address, recipient.context)
        if recipient.pdf_attachments or recipient.s3_attachments:
            message = msgspec.structs.replace(
                message,
                pdfs=[PdfSource(item.name, item.html) for item in recipient.pdf_attachments or ()],
                files=[StoredFile(item.path, item.name or "") for item in recipient.s3_attachments or ()],
            )
        return message

    def _message(self, index: int, recipient: Recipient, address: str, context: msgspec.Raw) -> QueuedMessage:
        header = self.header
        return QueuedMessage(
            VERSION,
            message_id(header.company_code, header.group_id, header.part, index),
            index,
            header.part,
            self.accepted_at_ms,
            address,
            recipient.first_name or "",
            recipient.last_name or "",
            recipient.user_link or "",
            recipient.tags or [],
            _NO_CONTEXT if bytes(context) == _NIL else context,
            withheld=self._withheld,
        )

    def _check_extras(self, index: int, recipient: Recipient) -> None:
        place = f"recipients[{index}]"
        if recipient.tags:
            check_tags(f"{place}.tags", recipient.tags, self.violations)
        for number, pdf in enumerate(recipient.pdf_attachments or ()):
            check_file_name(f"{place}.pdf_attachments[{number}].name", pdf.name, self.violations)
        for number, stored in enumerate(recipient.s3_attachments or ()):
            spot = f"{place}.s3_attachments[{number}]"
            check_path(f"{spot}.path", stored.path, self.violations, buckets=self.buckets)
            if stored.name is not None:
                check_file_name(f"{spot}.name", stored.name, self.violations)

    def rejected_records(self, reference: str) -> tuple[list[MessageRecord], list[bytes]]:
        """For the record: the rejected recipients, and the event that says why; `reference` is the group's prefix."""
        header, records, events = self.header, [], []
        for item, blob in zip(self.rejected, self.rejected_blobs, strict=True):
            identifier = message_id(header.company_code, header.group_id, header.part, item.index)
            full = f"{reference}-{identifier}"
            records.append(MessageRecord(full, header.company_code, header.group_id, blob))
            events.append(
                pack(
                    Event(
                        full,
                        "rejected",
                        0,
                        self.accepted_at_ms,
                        reason_code=item.code,
                        reason_text=item.text,
                    )
                )
            )
        return records, events
