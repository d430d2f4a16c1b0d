"""The wire form of a post's recipients and contexts: one typed decode for gateway and intake.

Shape only: types, required and unknown keys, depth. What values mean is intake's. Memory stays
bounded whatever the bytes declare: nothing is built before its size is known.
"""

from __future__ import annotations

import re
from datetime import datetime
from math import isfinite
from types import NoneType
from typing import Any, NoReturn, TypeVar

import msgspec

from morpheus_kit.errors import InvalidInputError, MalformedError

MAX_DEPTH = 64
MAX_CHUNK_RECIPIENTS = 500
MAX_CHUNK_BYTES = 1024 * 1024
MAX_RECIPIENT_BYTES = 8 * 1024 * 1024
MAX_SHARED_BYTES = 8 * 1024 * 1024
MAX_CONTEXT_VALUES = 250_000
EMPTY_MAP = b"\x80"

# A packed value of n bytes takes at most some 70 n bytes once built: up to here it needs no counting first.
_SMALL_BYTES = 64 * 1024
_RECIPIENT_DEPTH = 3  # body, recipients, recipient

T = TypeVar("T")


class PdfAttachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A PDF to make from literal HTML."""

    name: str
    html: str


class StoredAttachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the template store."""

    path: str
    name: str | None = None


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recipient as posted; `context` is one msgpack map (or nil), undecoded."""

    address: str
    first_name: str | None = None
    last_name: str | None = None
    user_link: str | None = None
    tags: list[str] | None = None
    context: msgspec.Raw = msgspec.Raw(EMPTY_MAP)
    pdf_attachments: list[PdfAttachment] | None = None
    s3_attachments: list[StoredAttachment] | None = None


_recipients = msgspec.msgpack.Decoder(list[Recipient])
_context = msgspec.msgpack.Decoder(dict[str, Any])
_any = msgspec.msgpack.Decoder()
_encoder = msgspec.msgpack.Encoder()


def decode_recipients(chunk: bytes, first: int) -> list[Recipient]:
    """One msgpack array of recipients; the first of them is number `first` of the post.

    MalformedError when it is not well-formed, InvalidInputError naming the first field of a wrong shape.
    """
    recipients = decode(_recipients, chunk, "recipients", depth=_RECIPIENT_DEPTH - 1, first=first)
    for index, recipient in enumerate(recipients, first):
        context = bytes(recipient.context)
        if context not in {EMPTY_MAP, b"\xc0"}:
            check_context(context, f"recipients[{index}].context", _RECIPIENT_DEPTH + 1)
    return recipients


def decode(decoder: msgspec.msgpack.Decoder[T], packed: bytes, path: str, *, depth: int, first: int = 0) -> T:
    """A typed decode with our errors; `depth` is that of the outermost value, `first` shifts a list's indices."""
    try:
        return decoder.decode(packed)
    except msgspec.ValidationError as exc:
        if check_depth(packed, depth) > MAX_CONTEXT_VALUES:
            _refuse(str(exc), path, first)
        return _decode_last_keys(decoder, packed, path, first, exc)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedError(f"The body is not well-formed: {exc}.") from exc


def _decode_last_keys(
    decoder: msgspec.msgpack.Decoder[T], packed: bytes, path: str, first: int, error: msgspec.ValidationError
) -> T:
    """Of a repeated key the last one counts: the shape of an earlier one is nobody's business."""
    try:
        return decoder.decode(_encoder.encode(_any.decode(packed)))
    except msgspec.ValidationError as exc:
        _refuse(str(exc), path, first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, OverflowError):
        _refuse(str(error), path, first)


def _refuse(message: str, path: str, first: int) -> NoReturn:
    """Raises msgspec's message as a violation with our path."""
    text, _, place = message.partition(" - at `")
    is_key, _, place = place.rpartition("$")
    place = place.removesuffix("`")
    if first and (index := re.match(r"\[(\d+)\]", place)):
        place = f"[{first + int(index[1])}]{place[index.end() :]}"
    full = f"{path}{place}" if path else place.removeprefix(".")
    if is_key:
        raise InvalidInputError.of(full or "body", "keys must be strings")
    if found := re.match(r"Object missing required field `(.*)`", text):
        raise InvalidInputError.of(_join(full, found[1]), "is required")
    if found := re.match(r"(?s)Object contains unknown field `(.*)`", text):
        raise InvalidInputError.of(_join(full, found[1][:64]), "unknown key")
    raise InvalidInputError.of(full or "body", _plain(text))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _plain(text: str) -> str:
    """Msgspec's words in the words of the format."""
    for name, word in (("`object`", "`map`"), ("`null`", "`nil`"), ("`bytes`", "`bin`")):
        text = text.replace(name, word)
    return text[:1].lower() + text[1:].strip()


def too_large(path: str) -> InvalidInputError:
    """The error of a recipient or of shared information above its limit of 8 MiB."""
    return InvalidInputError.of(path, "larger than 8 MiB")


def is_large(packed: bytes) -> bool:
    """Whether its values must be counted before they are built."""
    return len(packed) > _SMALL_BYTES


def check_context(packed: bytes, path: str, depth: int) -> None:
    """A context must be a map with string keys of nil, bool, int, finite float, str, timestamp, array, map.

    `depth` is that of the map itself. InvalidInputError or MalformedError.
    """
    if is_large(packed) and check_depth(packed, depth) > MAX_CONTEXT_VALUES:
        raise InvalidInputError.of(path, f"more than {MAX_CONTEXT_VALUES} values")
    try:
        value = _context.decode(packed)
    except msgspec.ValidationError as exc:
        check_depth(packed, depth)
        _refuse(str(exc), path, 0)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise MalformedError(f"The body is not well-formed: {exc}.") from exc
    except RecursionError as exc:
        raise MalformedError(_TOO_DEEP) from exc
    if not _is_allowed(value, depth):
        _refuse_value(value, path)


_TOO_DEEP = f"The body is nested more than {MAX_DEPTH} deep."
_CUT = "The body is not well-formed: it ends too early."
_SCALARS = frozenset([str, int, bool, NoneType, datetime])
_CONTAINERS = frozenset([dict, list])
_STRINGS = frozenset([str])


def _is_allowed(value: dict[str, Any], depth: int) -> bool:
    """Whether all values have an allowed type. MalformedError when nested too deep. Called per message."""
    level: list[Any] = [value]
    while level:
        if depth > MAX_DEPTH:
            raise MalformedError(_TOO_DEEP)
        below: list[Any] = []
        for container in level:
            if type(container) is dict and not _STRINGS.issuperset(map(type, container)):
                return False
            for item in container.values() if type(container) is dict else container:
                kind = type(item)
                if kind in _SCALARS:
                    continue
                if kind in _CONTAINERS:
                    below.append(item)
                elif kind is not float or not isfinite(item):
                    return False
        level = below
        depth += 1
    return True


def _refuse_value(value: Any, path: str) -> None:
    """Finds the value that is not allowed and raises with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInputError.of(path, "keys must be strings")
            _refuse_value(item, f"{path}.{key[:64]}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_value(item, f"{path}[{index}]")
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidInputError.of(path, "a float must be finite")
    elif type(value) not in _SCALARS:
        raise InvalidInputError.of(path, "not one of nil, bool, int, float, str, timestamp, array, map")


# First byte of a value: (bytes of its length field, values inside per unit of length, payload bytes
# per unit of length, fixed payload bytes).
_SIZED: dict[int, tuple[int, int, int, int]] = {
    **{0xC4 + step: (1 << step, 0, 1, 0) for step in range(3)},  # bin
    **{0xC7 + step: (1 << step, 0, 1, 1) for step in range(3)},  # ext, with its type
    **{0xD9 + step: (1 << step, 0, 1, 0) for step in range(3)},  # str
    **{0xDC + step: (2 << step, 1, 0, 0) for step in range(2)},  # array
    **{0xDE + step: (2 << step, 2, 0, 0) for step in range(2)},  # map
}
_FIXED: dict[int, int] = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),
    0xCA: 4,
    0xCB: 8,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
    **{0xD4 + step: 1 + (1 << step) for step in range(5)},  # fixext
}


def _token(packed: bytes, at: int) -> tuple[int, int]:
    """Where the value that begins at `at` ends (a container: its header), and how many values it holds."""
    byte = packed[at]
    at += 1
    if byte < 0x80 or byte >= 0xE0:
        return at, 0
    if byte < 0x90:
        return at, 2 * (byte & 0x0F)
    if byte < 0xA0:
        return at, byte & 0x0F
    if byte < 0xC0:
        return at + (byte & 0x1F), 0
    if byte in _FIXED:
        return at + _FIXED[byte], 0
    if byte not in _SIZED:
        raise MalformedError("The body is not well-formed: a byte that no value begins with.")
    width, inside, payload, fixed = _SIZED[byte]
    length = int.from_bytes(packed[at : at + width], "big")
    return at + width + fixed + length * payload, length * inside


def check_depth(packed: bytes, depth: int) -> int:
    """How many values there are, counted up to `MAX_CONTEXT_VALUES` + 1; builds none of them.

    `depth` is that of the outermost one. MalformedError when something is nested too deep or cut off.
    """
    at, count, size = 0, 0, len(packed)
    open_values = [1]
    while open_values:
        if open_values[-1] == 0:
            open_values.pop()
            continue
        if at >= size:
            raise MalformedError(_CUT)
        open_values[-1] -= 1
        count += 1
        if count > MAX_CONTEXT_VALUES:
            return count
        is_container = 0x80 <= packed[at] < 0xA0 or 0xDC <= packed[at] <= 0xDF
        at, inside = _token(packed, at)
        if is_container:
            if depth + len(open_values) - 1 > MAX_DEPTH:
                raise MalformedError(_TOO_DEEP)
            open_values.append(inside)
    if at > size:
        raise MalformedError(_CUT)
    return count
