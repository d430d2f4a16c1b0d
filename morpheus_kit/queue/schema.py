"""What lies in the queue: msgspec structs, packed as arrays with the version in front.

Release N writes what N-1 reads: new fields go to the end, with a default. A blob whose
version is newer than `VERSION` is left alone (`NewerVersionError`).
"""

from __future__ import annotations

import msgspec

VERSION = 1


class NewerVersionError(ValueError):
    """The blob was written by a newer release."""


class PdfSource(msgspec.Struct, array_like=True, frozen=True):
    """A PDF to make: file name and literal HTML."""

    name: str
    html: str


class StoredFile(msgspec.Struct, array_like=True, frozen=True):
    """A file of the template store to attach."""

    path: str
    name: str = ""


class QueuedMessage(msgspec.Struct, array_like=True, frozen=True):
    """One recipient, as queued by intake. `context` is one msgpack map, undecoded."""

    version: int
    id: str
    index: int
    part: int
    accepted_at_ms: int
    address: str
    first_name: str = ""
    last_name: str = ""
    user_link: str = ""
    tags: list[str] = []
    context: msgspec.Raw = msgspec.Raw(b"\x80")
    pdfs: list[PdfSource] = []
    files: list[StoredFile] = []
    resend_of: str = ""
    """Id of the message that this one repeats."""
    withheld: list[str] | None = None
    """Keys of the context that are not recorded, and bodies are not either; empty: all keys; None: all is recorded."""


class SharedInfo(msgspec.Struct, array_like=True, frozen=True):
    """What a group's messages share; the `shared` field of the group hash."""

    version: int
    company_code: str
    group_id: str
    method: str
    """As posted; `provider_method` is what it resolves to."""
    provider_method: str
    inner_template: str
    outer_template: str = ""
    subject_template: str = ""
    context: msgspec.Raw = msgspec.Raw(b"\x80")
    from_address: str = ""
    reply_to: str = ""
    tags: list[str] = []
    headers: dict[str, str] = {}
    priority: str = "normal"
    send_at_ms: int = 0
    expires_at_ms: int = 0
    missing_variables: str = "error"
    on_uncertain: str = ""
    stream: str = "transactional"
    parts: int = 0
    """0 = not announced."""
    reference_prefix: str = ""
    """`YYYYMM-<partition>-<group key>`; a message's reference is this, "-" and its id."""
    subaccount: str = ""
    withheld: list[str] | None = None
    """As in `QueuedMessage`."""
    unsubscribe: bool = False
    """Messages have an unsubscribe link."""


class AttachmentInfo(msgspec.Struct, array_like=True, frozen=True):
    """What was attached; `size` in bytes, `sha256` in lowercase hex."""

    name: str
    size: int
    sha256: str


class MessageRecord(msgspec.Struct, array_like=True, frozen=True):
    """What the tracker needs to make a message's document: the queued blob and what became of it."""

    reference: str
    company_code: str
    group_id: str
    blob: bytes
    """A packed QueuedMessage: the only source of the recipient's own fields."""
    rendered: bool = False
    subject: str = ""
    html: str = ""
    text: str = ""
    attachments: list[AttachmentInfo] = []
    reconstructed: bool = False
    template_versions: dict[str, str] = {}
    """Template to the version that it was rendered with."""


class GroupRecord(msgspec.Struct, array_like=True, frozen=True):
    """One accepted part of a group, for the tracker."""

    shared: SharedInfo
    part: int
    total: int
    accepted_at_ms: int
    key_id: str


class Event(msgspec.Struct, array_like=True, frozen=True):
    """Something that happened to a message. Scripts write the same array by `cmsgpack`.

    `source` is `us` or a provider's name; `attempt` is 0 where it is not known; `time_ms` by the
    clock of the source; `discriminator` tells apart what shares type and time. `undated`: the source named no time,
    `time_ms` is when we were told, and no part of the event's id.
    """

    reference: str
    type: str
    attempt: int
    time_ms: int
    source: str = "us"
    reason_code: str = ""
    reason_text: str = ""
    discriminator: str = ""
    provider: str = ""
    external_id: str = ""
    next_try_at_ms: int = 0
    detail: dict[str, str | int | float | bool | None] = {}
    undated: bool = False


class GroupEvent(msgspec.Struct, array_like=True, frozen=True):
    """An operation on a group: `paused`, `resumed`, `cancelled`; or `started`, with the versions of its templates."""

    company_code: str
    group_id: str
    type: str
    time_ms: int
    key_id: str = ""
    reason_code: str = ""
    reason_text: str = ""
    reference_prefix: str = ""
    """As in `SharedInfo`; empty in what an earlier release wrote."""
    template_versions: dict[str, str] = {}


_encoder = msgspec.msgpack.Encoder()
_message_decoder = msgspec.msgpack.Decoder(QueuedMessage)
_shared_decoder = msgspec.msgpack.Decoder(SharedInfo)


def pack(value: msgspec.Struct) -> bytes:
    """Any struct of this module as msgpack."""
    return _encoder.encode(value)


def unpack_message(blob: bytes) -> QueuedMessage:
    """A queued message. NewerVersionError, or ValueError when it is none."""
    message = _message_decoder.decode(blob)
    if message.version > VERSION:
        raise NewerVersionError(message.version)
    return message


def unpack_shared(blob: bytes) -> SharedInfo:
    """Shared information. NewerVersionError, or ValueError when it is none."""
    shared = _shared_decoder.decode(blob)
    if shared.version > VERSION:
        raise NewerVersionError(shared.version)
    return shared
