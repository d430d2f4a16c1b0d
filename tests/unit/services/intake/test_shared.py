from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit.errors import InvalidInputError, MalformedError
from services.intake.shared import context_of, shared_digest

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=15)


def digest(context: Any, **changes: Any) -> str:
    header = GroupHeader(group_id="g", company_code="c", method="test", inner_template="i", **changes)
    return shared_digest(header, msgpack.packb(context))


def turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES))
def test_the_order_of_keys_does_not_count(context: dict[str, Any]) -> None:
    assert digest(context) == digest(turned(context))


def test_the_way_a_number_is_written_does_not_count() -> None:
    header = GroupHeader(group_id="g")
    assert shared_digest(header, b"\x81\xa1a\x05") == shared_digest(header, b"\x81\xa1a\xd3\0\0\0\0\0\0\0\x05")


def test_defaults_may_be_written_or_left_out() -> None:
    assert digest({}) == digest({}, priority="normal", missing_variables="error")


@pytest.mark.parametrize(
    "changes", [{"parts": 0}, {"reply_to": ""}, {"outer_template": ""}, {"on_uncertain": ""}, {"tags": ["a"]}]
)
def test_what_is_there_differs_from_what_is_not(changes: dict[str, Any]) -> None:
    assert digest({}) != digest({}, **changes)


def test_part_and_content_do_not_count() -> None:
    assert digest({}) == digest({}, part=5, content_sha256=b"x")


@pytest.mark.parametrize(
    ("context", "error"),
    [(b"\xc1", MalformedError), (b"\x90", InvalidInputError), (b"\x81\x01\x01", InvalidInputError)],
)
def test_contexts_are_checked_for_direct_callers_too(context: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        context_of(GroupHeader(context=context))


def test_a_shared_context_above_eight_megabytes() -> None:
    context = msgpack.packb({"a": "x" * (8 * 1024 * 1024)})
    with pytest.raises(InvalidInputError, match="8 MiB"):
        context_of(GroupHeader(context=context))


def test_no_context_is_an_empty_one() -> None:
    assert context_of(GroupHeader()) == b"\x80"
