"""The few bytes of the protobuf encoding that pass through the front unparsed: a request's parts, an answer's parts.

A request is its group (field 1) and its messages (field 2); a response is its messages (field 1). The front looks
into the group only, and takes messages apart only to retry some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GROUP = 0x0A
MESSAGE = 0x12
ANSWER = 0x0A


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag: int, content: bytes) -> bytes:
    return b"%c%b%b" % (tag, varint(len(content)), content)


def split(request: bytes) -> tuple[bytes, list[bytes]]:
    """Group and messages. ValueError when these are not the fields of a request."""
    group, messages, at = b"", [], 0
    while at < len(request):
        tag = request[at]
        size, at = _read_varint(request, at + 1)
        end = at + size
        if tag not in {GROUP, MESSAGE} or end > len(request):
            msg = "not a serialized RenderMessagesRequest"
            raise ValueError(msg)
        if tag == MESSAGE:
            messages.append(request[at:end])
        else:
            group += request[at:end]
        at = end
    return group, messages


def join(group: bytes, messages: Sequence[bytes]) -> bytes:
    """A request again."""
    return b"".join([field(GROUP, group), *(field(MESSAGE, message) for message in messages)])


def response(answers: Iterable[bytes]) -> bytes:
    """A RenderMessagesResponse."""
    return b"".join(field(ANSWER, answer) for answer in answers)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            break
    msg = "a varint without end"
    raise ValueError(msg)
