import io
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec import Post, read_post
from morpheus_kit import wire
from morpheus_kit.errors import InvalidInputError, MalformedError

HEADER = {
    "group_id": "g",
    "company_code": "acme",
    "method": "test",
    "inner_template": "a.html",
    "from_address": "a@example.com",
}


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def read(body: bytes) -> Post:
    return read_post(io.BytesIO(body))


def recipients_of(post: Post) -> list[Any]:
    return [item for chunk in post.chunks() for item in msgpack.unpackb(chunk)]


RECIPIENT = st.fixed_dictionaries(
    {"address": st.text(max_size=30)},
    optional={"first_name": st.none() | st.text(max_size=20), "context": st.dictionaries(st.text(), st.integers(0, 9))},
)


@settings(deadline=None)
@given(st.lists(RECIPIENT, min_size=1, max_size=40), st.permutations([*HEADER, "recipients"]))
def test_recipients_arrive_as_posted_wherever_they_stand(recipients: list[Any], order: list[str]) -> None:
    document = {**HEADER, "recipients": recipients}
    post = read(pack({name: document[name] for name in order}))
    assert recipients_of(post) == recipients
    assert post.header.group_id == "g"


@settings(deadline=None)
@given(st.integers(1, 3000))
def test_slices_hold_at_most_500(count: int) -> None:
    post = read(pack({**HEADER, "recipients": [{"address": "a"}] * count}))
    assert sum(piece.count for piece in post.slices) == count
    assert all(0 < piece.count <= 500 for piece in post.slices)
    assert [piece.first for piece in post.slices] == list(range(0, count, 500))


def test_slices_hold_at_most_a_mebibyte_or_one_recipient() -> None:
    sizes = [10, 400_000, 400_000, 400_000, 2_000_000, 10, 10]
    recipients = [{"address": "a", "context": {"x": "y" * size}} for size in sizes]
    post = read(pack({**HEADER, "recipients": recipients}))
    assert [piece.count for piece in post.slices] == [3, 1, 1, 2]
    assert all(piece.count == 1 or piece.end - piece.start <= wire.MAX_CHUNK_BYTES for piece in post.slices)
    assert len(recipients_of(post)) == 7


@settings(deadline=None)
@given(st.data())
def test_a_cut_body_is_malformed(data: st.DataObject) -> None:
    body = pack({**HEADER, "context": {"a": [1, {"b": 2.5}]}, "recipients": [{"address": "a"}] * 3})
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(MalformedError):
        read(body[:cut])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_body_is_answered_with_our_errors(data: st.DataObject) -> None:
    body = bytearray(pack({**HEADER, "context": {"a": [1, {"b": 2.5}]}, "recipients": [{"address": "a"}] * 3}))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        recipients_of(read(bytes(body)))
    except (MalformedError, InvalidInputError):
        return


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_answered_with_our_errors(body: bytes) -> None:
    with pytest.raises((MalformedError, InvalidInputError)):
        read(body)


def entry(name: str, packed: bytes) -> bytes:
    return pack({**HEADER, "recipients": [{"address": "a"}]}).replace(b"\x86", b"\x87", 1) + pack(name) + packed


MEGA = 4_000_000
HOSTILE = {
    "empty maps in the shared context": entry("context", b"\x81\xa1a\xdd" + MEGA.to_bytes(4, "big") + b"\x80" * MEGA),
    "empty maps under an unknown key": entry("x", b"\xdd" + MEGA.to_bytes(4, "big") + b"\x80" * MEGA),
    "empty strings as tags": entry("tags", b"\xdd" + MEGA.to_bytes(4, "big") + b"\xa0" * MEGA),
    "empty maps as recipients": pack(HEADER).replace(b"\x85", b"\x86", 1)
    + pack("recipients")
    + b"\xdd"
    + MEGA.to_bytes(4, "big")
    + b"\x80" * MEGA,
    "deep arrays": entry("context", b"\x91" * MEGA),
    "a huge key": b"\x81\xdb" + MEGA.to_bytes(4, "big") + b"k" * MEGA + b"\xc0",
    "a key that is a huge array": b"\x81\xdd" + MEGA.to_bytes(4, "big") + b"\x80" * MEGA + b"\xc0",
    "a huge string for a short one": entry("group_id", b"\xdb" + MEGA.to_bytes(4, "big") + b"g" * MEGA) + b"\x00",
    "more entries than there are bytes": b"\xdf\xff\xff\xff\xff" + b"\xa1a\x01" * 1000,
    "more recipients than there are bytes": b"\x81" + pack("recipients") + b"\xdd\xff\xff\xff\xff" + b"\x80" * 1000,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bodies_are_refused_in_bounded_memory(body: bytes) -> None:
    buffer = io.BytesIO(body)
    tracemalloc.start()
    try:
        with pytest.raises((MalformedError, InvalidInputError)):
            recipients_of(read_post(buffer))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(body) + 2_000_000
