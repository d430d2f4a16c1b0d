"""The body of a post: split without building it, then decoded typed.

The body is walked once by a skipping parser that allocates nothing: it proves the bytes well-formed
and notes where each key's value and each slice of recipients lie. Only then are the parts decoded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import msgpack
import msgspec
from msgspec import Meta

from morpheus_kit import wire
from morpheus_kit.errors import InvalidInputError, MalformedError

_READ_BYTES = 256 * 1024
_MAX_KEY_CHARS = 64
_HEADER_DEPTH = 1
_CUT = "The body is not well-formed: it ends too early."
_LEAST_BYTES = len(b"\x81\xa7address\xa0")
_MANY = 1_000_000  # from here on it is worth while not to walk over what cannot be recipients

Int32 = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Time = Annotated[datetime, Meta(tz=True)]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything of a post but its recipients, as the table of `docs/http-api.md` types it."""

    group_id: str
    company_code: str
    method: str
    inner_template: str
    from_address: str
    part: Int32 = 0
    parts: Int32 | None = None
    outer_template: str | None = None
    subject_template: str | None = None
    context: msgspec.Raw = msgspec.Raw(wire.EMPTY_MAP)
    reply_to: str | None = None
    tags: list[str] = []
    headers: dict[str, str] = {}
    priority: str = "normal"
    send_at: Time | None = None
    expires_at: Time | None = None
    missing_variables: str = "error"
    on_uncertain: str | None = None
    subaccount: str | None = None
    country_code: str | None = None
    cost_limit: str | None = None
    stream: str = "transactional"
    unsubscribe: bool | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None
    record: str | None = None
    redact: list[str] | None = None

    def unsupported(self) -> list[str]:
        """Keys that ask for something that is not built yet."""
        names = ("cost_limit", "track_opens", "track_clicks")
        return [name for name in names if getattr(self, name) is not None]


@dataclass(frozen=True, slots=True)
class Slice:
    """Recipients that lie side by side in the body and travel as one chunk."""

    first: int
    count: int
    start: int
    end: int


@dataclass(slots=True)
class Post:
    """A body that is well-formed, with its header decoded and its recipients still packed."""

    header: Header
    context: bytes
    body: memoryview
    slices: list[Slice]

    def chunks(self) -> Iterator[bytes]:
        """Each slice as one msgpack array, checked for shape. InvalidInputError, MalformedError."""
        for piece in self.slices:
            if piece.count == 1 and piece.end - piece.start > wire.MAX_RECIPIENT_BYTES:
                raise wire.too_large(f"recipients[{piece.first}]")
            chunk = b"\xdc" + piece.count.to_bytes(2, "big") + self.body[piece.start : piece.end]
            wire.decode_recipients(chunk, piece.first)
            yield chunk


@dataclass(slots=True)
class _Layout:
    """Where things lie in the body."""

    values: dict[str, tuple[int, int]] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    recipients_fault: str = "is required"
    """What is wrong when there are no slices."""


def read_post(buffer: io.BytesIO) -> Post:
    """Splits a body and decodes its header. MalformedError, InvalidInputError.

    `buffer` holds the whole body and is not copied.
    """
    body = buffer.getbuffer()
    layout = _lay_out(buffer, body)
    header = _decode_header(body, layout)
    context = bytes(header.context)
    if context != wire.EMPTY_MAP:
        wire.check_context(context, "context", _HEADER_DEPTH + 1)
    if not layout.slices:
        raise InvalidInputError.of("recipients", layout.recipients_fault)
    return Post(header, context, body, layout.slices)


def _decode_header(body: memoryview, layout: _Layout) -> Header:
    """The map again without recipients, each key once with its last value."""
    if sum(end - start for start, end in layout.values.values()) > wire.MAX_SHARED_BYTES:
        raise InvalidInputError.of("body", "the shared information is larger than 8 MiB")
    packer = msgpack.Packer()
    pieces: list[bytes | memoryview] = [packer.pack_map_header(len(layout.values))]
    for name, (start, end) in layout.values.items():
        pieces.extend((packer.pack(name), body[start:end]))
    packed = b"".join(pieces)
    if wire.is_large(packed) and wire.check_depth(packed, _HEADER_DEPTH) > wire.MAX_CONTEXT_VALUES:
        raise InvalidInputError.of("body", f"the shared information holds more than {wire.MAX_CONTEXT_VALUES} values")
    return wire.decode(_header_decoder, packed, "", depth=_HEADER_DEPTH)


_header_decoder = msgspec.msgpack.Decoder(Header)


def _lay_out(buffer: io.BytesIO, body: memoryview) -> _Layout:
    buffer.seek(0)
    walker = msgpack.Unpacker(buffer, read_size=_READ_BYTES, max_buffer_size=max(len(body), _READ_BYTES), raw=False)
    try:
        layout = _walk(walker, body)
    except msgpack.OutOfData as exc:
        raise MalformedError(_CUT) from exc
    except (ValueError, msgpack.UnpackException) as exc:
        raise MalformedError("The body is not one well-formed msgpack map.") from exc
    if walker.tell() != len(body):
        raise MalformedError("The body has bytes after its end.")
    return layout


def _walk(walker: msgpack.Unpacker, body: memoryview) -> _Layout:
    layout = _Layout()
    for _ in range(walker.read_map_header()):
        name = _key(walker, body)
        start = walker.tell()
        if name != "recipients":
            walker.skip()
            layout.values[name] = (start, walker.tell())
        elif _begins(body, start, 0x90, 0xA0, 0xDC, 0xDD):
            layout.slices, layout.recipients_fault = _slices(walker, len(body)), "at least one is required"
        else:
            walker.skip()
            layout.slices, layout.recipients_fault = [], "expected `array`"
    return layout


def _key(walker: msgpack.Unpacker, body: memoryview) -> str:
    start = walker.tell()
    if not _begins(body, start, 0xA0, 0xC0, 0xD9, 0xDA, 0xDB):
        walker.skip()
        raise InvalidInputError.of("body", "keys must be strings")
    walker.skip()
    end = walker.tell()
    name: str = msgpack.unpackb(body[start : min(end, start + 2**16)], raw=False) if end - start < 2**16 else "…"
    if len(name) > _MAX_KEY_CHARS:
        raise InvalidInputError.of(name[:_MAX_KEY_CHARS], "unknown key")
    return name


def _begins(body: memoryview, at: int, low: int, high: int, *others: int) -> bool:
    """Whether the value at `at` is of the type with these first bytes."""
    if at >= len(body):
        raise MalformedError(_CUT)
    return low <= body[at] < high or body[at] in others


def _slices(walker: msgpack.Unpacker, size: int) -> list[Slice]:
    """Slices of at most 500 recipients and 1 MiB, or one larger recipient."""
    found: list[Slice] = []
    first, count = 0, walker.read_array_header()
    start = end = walker.tell()
    if count > size - start:
        raise MalformedError(_CUT)
    if count > _MANY and count * _LEAST_BYTES > size - start:
        raise InvalidInputError.of("recipients", "more of them than could have an address in these bytes")
    for index in range(count):
        walker.skip()
        after = walker.tell()
        if index > first and (index - first == wire.MAX_CHUNK_RECIPIENTS or after - start > wire.MAX_CHUNK_BYTES):
            found.append(Slice(first, index - first, start, end))
            first, start = index, end
        end = after
    if count:
        found.append(Slice(first, count - first, start, end))
    return found
