"""A message's document: the queued blob, what was rendered, and the fold over its events.

`Head` is what lists and filters need; `Body` is the large rest, read only for one message.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import msgspec

from morpheus_kit.queue.schema import AttachmentInfo, MessageRecord, QueuedMessage, SharedInfo, unpack_message
from morpheus_kit.queue.withholding import kept_record
from services.tracker.fold import Folded, fold
from services.tracker.happenings import bare_happening

VERSION = 1

_ID_CHARS, _MASK = 36, 0xFFFFFFFF
_UNRENDERED, _RECONSTRUCTED, _RENDERED = 1, 2, 3
_ERASED = 9
"""Better than every record, so that none takes its place."""
_STRIPPED = -1
"""In the place of a digest: less than any."""


class Head(msgspec.Struct, array_like=True):
    """The small part of a document."""

    version: int = VERSION
    record: tuple[int, int] = (0, 0)
    """How good the record is that the rest comes from (0: none yet), and a digest of its content."""
    accepted_at_ms: int = 0
    address: str = ""
    first_name: str = ""
    last_name: str = ""
    user_link: str = ""
    subject: str = ""
    tags: list[str] = []
    """The recipient's own."""
    part: int = 0
    index: int = 0
    error: str = ""
    """Why the record could not be kept whole."""
    folded: Folded = msgspec.field(default_factory=Folded)
    resend_of: str = ""
    """The message that this one repeats."""
    withheld: bool = False
    """Its group withholds contents: nothing that may repeat them is kept."""

    @property
    def erased(self) -> bool:
        """Its person was erased: it is counted and keeps its id from coming back, and nobody sees it."""
        return self.record[0] == _ERASED


class Body(msgspec.Struct, array_like=True, frozen=True):
    """The large part of a document. `blob` is the packed `QueuedMessage`."""

    version: int = VERSION
    blob: bytes = b""
    html: str = ""
    text: str = ""
    attachments: list[AttachmentInfo] = []
    template_versions: dict[str, str] = {}
    """Template to the version that it was rendered with."""


@dataclass(frozen=True, slots=True)
class Document:
    """One message as it is read; `body` only where the detail was asked for."""

    id: str
    shared: SharedInfo
    head: Head
    place: str
    """What decides the order of messages that were accepted at the same time."""
    body: Body | None = None

    @property
    def message(self) -> QueuedMessage | None:
        """The queued message, from which resend and context come."""
        return unpack_message(self.body.blob) if self.body and self.body.blob else None


def place_of(reference: str, part: int, index: int) -> str:
    """Where a message stands among those of its time, the same in every store: 32 hex digits.

    They follow from group key, part, index, and at last from its id.
    """
    message_id = reference[-_ID_CHARS:]
    key = reference[-_ID_CHARS - 9 : -_ID_CHARS - 1]
    return f"{key}{part & _MASK:08x}{index & _MASK:08x}{message_id[:8]}"


def record_rank(record: MessageRecord) -> tuple[int, int]:
    """Which of several records of a message wins: rendered, reconstructed, unrendered; then by digest."""
    if not record.rendered:
        return (_UNRENDERED, zlib.crc32(record.blob))
    digest = zlib.crc32(record.text.encode(), zlib.crc32(record.html.encode(), zlib.crc32(record.subject.encode())))
    return (_RECONSTRUCTED if record.reconstructed else _RENDERED, digest)


def made_of(record: MessageRecord, rank: tuple[int, int]) -> tuple[Head, Body]:
    """A document without events, and without what must not be kept. ValueError when the blob is no message."""
    message = unpack_message(record.blob)
    kept = kept_record(record, message)
    head = Head(
        VERSION,
        rank,
        message.accepted_at_ms,
        message.address,
        message.first_name,
        message.last_name,
        message.user_link,
        kept.subject,
        message.tags,
        message.part,
        message.index,
        resend_of=message.resend_of,
        withheld=message.withheld is not None,
    )
    return head, Body(VERSION, kept.blob, kept.html, kept.text, kept.attachments, kept.template_versions)


def stripped_head(record: MessageRecord, now_ms: int, error: str) -> Head:
    """What stands in the place of a record that cannot be kept: nothing but when and why.

    The same record is better than it, so whoever did not get to keep the whole elsewhere is told again.
    """
    rank, _ = record_rank(record)
    return Head(record=(rank, _STRIPPED), accepted_at_ms=now_ms, error=error)


def erased_head(message_id: str, head: Head) -> Head:
    """What is left of an erased person's message: what its group and the statistics count of it."""
    return Head(
        record=(_ERASED, 0),
        accepted_at_ms=head.accepted_at_ms,
        part=head.part,
        index=head.index,
        folded=fold(message_id, None, map(bare_happening, head.folded.events)),
        withheld=head.withheld,
    )


def searchable(head: Head, text: str) -> str:
    """Everything that `q` looks at, unfolded."""
    return "\n".join([head.subject, head.first_name, head.last_name, head.address, head.user_link, *head.tags, text])
