"""Elements and outcome entries: what is packed is read back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morpheus_kit.queue import outcomes, schema
from morpheus_kit.queue.elements import pack_element, unpack_element
from morpheus_kit.queue.runner import source

IDS = st.text("0123456789abcdef-", min_size=1)


@given(IDS, st.binary(), st.integers(1, 10**6), st.integers(0, 10**6))
def test_an_element_is_read_back(name: str, blob: bytes, attempt: int, tries: int) -> None:
    element = unpack_element(pack_element(name, blob, attempt=attempt, tries=tries))
    assert element == (attempt, tries, name, blob, "")


def test_a_provider_that_may_have_it_is_kept() -> None:
    packed = pack_element("id", b"blob", attempt=2, tries=7, provider="ses")
    assert packed == b"2 7@ses id blob"
    assert unpack_element(packed) == (2, 7, "id", b"blob", "ses")


@pytest.mark.parametrize("element", [b"", b"1 0 id", b"x 0 id blob"])
def test_what_is_no_element_is_a_value_error(element: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack_element(element)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 500, 65535])
def test_an_array_of_packed_values_is_an_array(count: int) -> None:
    packed = outcomes.array_header(count) + b"\x01" * count
    assert msgspec.msgpack.decode(packed) == [1] * count


def test_an_entry_is_read_back_field_by_field() -> None:
    record = schema.MessageRecord("ref", "acme", "g", b"\x00blob", rendered=True, subject="S")
    event = schema.Event("ref", "sent", 1, 5)
    operation = schema.GroupEvent("acme", "g", "paused", 5)
    blob = msgspec.msgpack.encode([("ref2", "acme", "g", pack_element("id", b"\xffblob"))])
    outcome = outcomes.unpack_outcome(
        {
            b"records": outcomes.pack_records([record]),
            b"events": outcomes.array_header(1) + schema.pack(event),
            b"group_events": outcomes.array_header(1) + schema.pack(operation),
            b"blobs": blob,
        }
    )
    assert outcome.messages == [record, schema.MessageRecord("ref2", "acme", "g", b"\xffblob")]
    assert (outcome.events, outcome.group_events) == ([event], [operation])


def test_no_records_are_no_bytes() -> None:
    assert outcomes.pack_records() == b""


@pytest.mark.parametrize("fields", [{b"records": b"no zstd"}, {b"events": b"\xc1"}, {b"blobs": b"\x91\x01"}])
def test_a_broken_entry_is_a_value_error(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r"."):
        outcomes.unpack_outcome(fields)


def test_scripts_that_record_may_pass_the_memory_limit() -> None:
    assert source("commit_sends").startswith("#!lua flags=allow-oom\n")
    assert source("take").startswith("#!lua\n")
