"""What a group says must not be recorded: taken out here before anything becomes a record.

`record: no_body` and `redact` of a post become `withheld` of shared information and of each message. Of such a message
bodies, subject and files are not kept, nor what it was made of, nor any free text that may repeat them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from morpheus_kit.queue.schema import Event, MessageRecord, QueuedMessage, SharedInfo, pack, unpack_message

KEPT_DETAIL = frozenset(["segments", "encoding", "cost_micros", "cost_currency", "queued_reason", "code"])
"""What events of such messages may tell; a link that was clicked or a provider's words may repeat the contents."""

_EMPTY = msgspec.Raw(b"\x80")
_entries = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


def kept_shared(shared: SharedInfo) -> SharedInfo:
    """Shared information as it may be recorded and shown."""
    if shared.withheld is None:
        return shared
    return msgspec.structs.replace(shared, context=_kept_context(shared.context, shared.withheld))


def kept_message(message: QueuedMessage) -> QueuedMessage:
    """A message as it may be recorded; nothing can be sent from it again."""
    if message.withheld is None:
        return message
    context = _kept_context(message.context, message.withheld)
    return msgspec.structs.replace(message, context=context, pdfs=[], files=[])


def kept_record(record: MessageRecord, message: QueuedMessage) -> MessageRecord:
    """A record as it may be written; `message` is what its blob holds."""
    if message.withheld is None:
        return record
    blob = pack(kept_message(message))
    return msgspec.structs.replace(record, blob=blob, subject="", html="", text="")


def kept_blob(blob: bytes) -> bytes:
    """The same of a packed message; what is none is as it was."""
    try:
        message = unpack_message(blob)
    except ValueError:
        return blob
    return blob if message.withheld is None else pack(kept_message(message))


def kept_event(event: Event) -> Event:
    """An event of such a message without its free text; the reason's code stays."""
    return msgspec.structs.replace(
        event,
        reason_text="",
        discriminator="" if event.source != "us" else event.discriminator,
        detail=kept_detail(event.detail),
    )


def kept_detail(detail: dict[str, Any]) -> dict[str, Any]:
    """Only sizes, costs and codes."""
    return {name: value for name, value in detail.items() if name in KEPT_DETAIL}


def _kept_context(context: msgspec.Raw, withheld: Collection[str]) -> msgspec.Raw:
    if not withheld:
        return _EMPTY
    kept = {name: value for name, value in _entries.decode(context).items() if name not in withheld}
    return msgspec.Raw(msgspec.msgpack.encode(kept))
