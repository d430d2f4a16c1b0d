import contextlib
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpheus_kit import wire
from morpheus_kit.errors import InvalidInputError, MalformedError


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, datetime=True)
    return packed


def nested(levels: int) -> bytes:
    """A map in a map …, `levels` of them."""
    return b"\x81\xa1a" * (levels - 1) + b"\x80"


FIRST = "recipients[500]"
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
CONTEXTS = st.dictionaries(st.text(), VALUES)


@settings(deadline=None)
@given(CONTEXTS)
def test_every_allowed_context_is_allowed(context: dict[str, Any]) -> None:
    wire.check_context(pack(context), "context", 2)


@settings(deadline=None)
@given(CONTEXTS)
def test_counting_agrees_with_decoding(context: dict[str, Any]) -> None:
    def count(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + sum(1 + count(item) for item in value.values())
        return 1 + sum(map(count, value)) if isinstance(value, list) else 1

    assert wire.check_depth(pack(context), 1) == count(context)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered_with_our_errors(chunk: bytes) -> None:
    with contextlib.suppress(MalformedError, InvalidInputError):
        wire.decode_recipients(chunk, 0)


@settings(deadline=None)
@given(CONTEXTS, st.data())
def test_cut_contexts_are_malformed(context: dict[str, Any], data: st.DataObject) -> None:
    packed = pack(context)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(MalformedError):
        wire.check_depth(packed[:cut], 1)


@pytest.mark.parametrize(
    ("context", "path"),
    [
        ({"a": float("nan")}, "c.a"),
        ({"a": [1, float("inf")]}, "c.a[1]"),
        ({"a": {"b": -float("inf")}}, "c.a.b"),
        ({"a": b"bytes"}, "c.a"),
        ({"a": b""}, "c.a"),
        ({"a": msgpack.ExtType(5, b"x")}, "c.a"),
        ({"a": [{5: 1}]}, "c.a[0]"),
        ({"a": {b"k": 1}}, "c.a"),
        ({5: 1}, "c"),
        ({((),): 1}, "c"),
        ([1], "c"),
        ("text", "c"),
    ],
)
def test_values_that_a_context_may_not_hold_are_named(context: Any, path: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        wire.check_context(pack(context), "c", 2)
    assert [item.path for item in caught.value.violations] == [path]


def test_float32_infinity_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        wire.check_context(b"\x81\xa1a\xca\x7f\x80\x00\x00", "c", 2)


@pytest.mark.parametrize("packed", [b"\x81\xa1a\xa1\xff", b"\x81\xa1\xff\x01", b"\x81\xa1a\xc1", b""])
def test_contexts_that_are_not_msgpack(packed: bytes) -> None:
    with pytest.raises(MalformedError):
        wire.check_context(packed, "c", 2)


def test_depth_is_counted_from_the_body() -> None:
    wire.check_context(nested(63), "context", 2)
    for levels in (64, 100, 5000):
        with pytest.raises(MalformedError):
            wire.check_context(nested(levels), "context", 2)
    recipient = b"\x91\x82\xa7address\xa1a\xa7context"
    wire.decode_recipients(recipient + nested(61), 0)
    with pytest.raises(MalformedError):
        wire.decode_recipients(recipient + nested(62), 0)


def test_depth_counts_where_the_shape_is_wrong_too() -> None:
    with pytest.raises(MalformedError):
        wire.decode_recipients(b"\x91\x82\xa7address\xa1a\xa1x" + nested(80), 0)


@pytest.mark.parametrize(
    ("recipients", "path", "reason"),
    [
        ([{}], "recipients[500].address", "is required"),
        ([{"address": "a"}, {"address": 5}], "recipients[501].address", "expected `str`, got `int`"),
        ([{"address": b"a"}], "recipients[500].address", "expected `str`, got `bin`"),
        ([{"address": "a", "adress": 1}], "recipients[500].adress", "unknown key"),
        ([{"address": "a", 5: 1}], "recipients[500]", "keys must be strings"),
        ([{"address": "a", "tags": ["x", 1]}], "recipients[500].tags[1]", "expected `str`, got `int`"),
        ([{"address": "a", "context": 5}], "recipients[500].context", "expected `map`, got `int`"),
        (
            [{"address": "a", "pdf_attachments": [{"name": "x"}]}],
            "recipients[500].pdf_attachments[0].html",
            "is required",
        ),
        (
            [{"address": "a", "s3_attachments": [{"path": "x", "y": 1}]}],
            "recipients[500].s3_attachments[0].y",
            "unknown key",
        ),
        ([5], "recipients[500]", "expected `map`, got `int`"),
        ({}, "recipients", "expected `array`, got `map`"),
    ],
)
def test_wrong_shapes_are_named_by_their_place_in_the_post(recipients: Any, path: str, reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        wire.decode_recipients(pack(recipients), 500)
    assert [(item.path, item.reason) for item in caught.value.violations] == [(path, reason)]


def test_of_a_repeated_key_the_last_one_counts() -> None:
    twice = b"\x91\x82\xa7address\x05\xa7address\xa1b"
    assert wire.decode_recipients(twice, 0)[0].address == "b"
    twice = b"\x91\x82\xa7address\xa1a\xa7address\x05"
    with pytest.raises(InvalidInputError):
        wire.decode_recipients(twice, 0)


def test_nil_stands_for_absent() -> None:
    names = ("first_name", "last_name", "user_link", "tags", "context", "pdf_attachments", "s3_attachments")
    wire.decode_recipients(pack([{"address": "a", **dict.fromkeys(names)}]), 0)


@pytest.mark.parametrize("filling", [b"\x80", b"\x90", b"\xa0", b"\x91\x80"])
def test_a_context_of_millions_of_values_is_refused_in_bounded_memory(filling: bytes) -> None:
    count = 4_000_000 // len(filling)
    context = b"\x81\xa1a\xdd" + count.to_bytes(4, "big") + filling * count
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError, match="values"):
            wire.check_context(context, "c", 2)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
