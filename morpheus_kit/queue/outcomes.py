"""One entry of the `outcomes` stream: records and events of one batch, together.

Fields of an entry, each optional:

- `records`: zstd of the msgpack array `[[GroupRecord…], [MessageRecord…]]`.
- `events`: one msgpack array of `Event`; scripts put the array's header before the events that
  callers packed or that they made themselves by `cmsgpack`.
- `blobs`: one msgpack array of `[reference, company_code, group_id, element]`, written by scripts
  for messages that ended unrendered; `element` is a pending element (`elements.py`).
- `group_events`: one msgpack array of `GroupEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import zstandard

from morpheus_kit.queue.elements import unpack_element
from morpheus_kit.queue.schema import Event, GroupEvent, GroupRecord, MessageRecord
from morpheus_kit.queue.withholding import kept_blob

_LEVEL = 3
_MAX_BYTES = 256 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(tuple[list[GroupRecord], list[MessageRecord]])
_events = msgspec.msgpack.Decoder(list[Event])
_blobs = msgspec.msgpack.Decoder(list[tuple[str, str, str, bytes]])
_group_events = msgspec.msgpack.Decoder(list[GroupEvent])


@dataclass(slots=True)
class Outcome:
    """A decoded entry."""

    groups: list[GroupRecord] = field(default_factory=list)
    messages: list[MessageRecord] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    group_events: list[GroupEvent] = field(default_factory=list)
    stripped: dict[str, str] = field(default_factory=dict)
    """Why the documents of these references are kept stripped. No entry says it, only a tracker to its store."""


def pack_records(messages: Sequence[MessageRecord] = (), groups: Sequence[GroupRecord] = ()) -> bytes:
    """The `records` field. Empty when there is nothing to record."""
    if not messages and not groups:
        return b""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(_encoder.encode((groups, messages)))


def pack_outcome(outcome: Outcome) -> dict[bytes, bytes]:
    """The fields of an entry, the inverse of `unpack_outcome`; at most 65,535 events."""
    fields = {b"records": pack_records(outcome.messages, outcome.groups)}
    if outcome.events:
        fields[b"events"] = _encoder.encode(outcome.events)
    if outcome.group_events:
        fields[b"group_events"] = _encoder.encode(outcome.group_events)
    return {name: value for name, value in fields.items() if value}


def array_header(count: int) -> bytes:
    """The head of a msgpack array of `count` values that are packed already."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big")


def unpack_outcome(fields: Mapping[bytes, bytes]) -> Outcome:
    """Decodes an entry. ValueError (msgspec's and zstandard's included) when it is not one."""
    outcome = Outcome()
    if packed := fields.get(b"records"):
        try:
            raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BYTES)
        except zstandard.ZstdError as exc:
            raise ValueError(str(exc)) from exc
        outcome.groups, outcome.messages = _records.decode(raw)
    if blobs := fields.get(b"blobs"):
        for reference, company, group, element in _blobs.decode(blobs):
            blob = kept_blob(unpack_element(element).blob)
            outcome.messages.append(MessageRecord(reference, company, group, blob))
    if events := fields.get(b"events"):
        outcome.events = _events.decode(events)
    if group_events := fields.get(b"group_events"):
        outcome.group_events = _group_events.decode(group_events)
    return outcome
