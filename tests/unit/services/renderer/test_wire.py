"""Requests taken apart and put together again without parsing them."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from morpheus.renderer.v1 import renderer_pb2

from services.renderer import wire

_messages = st.lists(
    st.builds(
        renderer_pb2.MessageContent,
        id=st.text(max_size=5),
        context=st.binary(max_size=300),
        tags=st.lists(st.text(max_size=3), max_size=3),
    ),
    max_size=5,
)
_groups = st.builds(renderer_pb2.GroupContent, group_id=st.text(), context=st.binary(max_size=40_000))


@given(_groups, _messages)
def test_parts_are_those_of_protobuf(
    group: renderer_pb2.GroupContent, messages: list[renderer_pb2.MessageContent]
) -> None:
    request = renderer_pb2.RenderMessagesRequest(group=group, messages=messages)
    packed_group, packed = wire.split(request.SerializeToString())
    assert renderer_pb2.GroupContent.FromString(packed_group) == group
    assert [renderer_pb2.MessageContent.FromString(message) for message in packed] == messages
    assert renderer_pb2.RenderMessagesRequest.FromString(wire.join(packed_group, packed)) == request


@given(st.binary(max_size=60))
def test_garbage_is_a_value_error_or_parts(data: bytes) -> None:
    try:
        wire.split(data)
    except ValueError:
        return
    try:
        renderer_pb2.RenderMessagesRequest.FromString(data)
    except DecodeError:
        return  # the parts themselves are not looked into


def test_appended_versions_merge_into_the_group() -> None:
    group = renderer_pb2.GroupContent(group_id="g", versions={"a": "1"}).SerializeToString()
    more = renderer_pb2.GroupContent(versions={"b": "2"}).SerializeToString()
    merged = renderer_pb2.GroupContent.FromString(group + more)
    assert (merged.group_id, dict(merged.versions)) == ("g", {"a": "1", "b": "2"})


def test_response_holds_all_answers() -> None:
    answers = [renderer_pb2.RenderedMessage(id=str(number)) for number in range(3)]
    packed = wire.response(answer.SerializeToString() for answer in answers)
    assert list(renderer_pb2.RenderMessagesResponse.FromString(packed).messages) == answers


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x1a\x00", b"\x0a" + b"\xff" * 11])
def test_cut_or_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"RenderMessagesRequest|varint"):
        wire.split(data)
