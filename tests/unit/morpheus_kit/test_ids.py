"""Ids are pure functions of what they name."""

from __future__ import annotations

from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morpheus_kit import ids


@given(st.text(), st.text(), st.integers(0, 10_000), st.integers(0, 10_000_000))
def test_message_id_is_the_contracts_uuid5(company: str, group: str, part: int, index: int) -> None:
    assert ids.message_id(company, group, part, index) == str(uuid5(ids.NAMESPACE, f"{company}/{group}/{part}/{index}"))


def test_reference_is_parsed_back() -> None:
    message = ids.message_id("acme", "g1", 0, 7)
    prefix = ids.reference_prefix("202611", 3, "acme", "g1")
    reference = f"{prefix}-{message}"
    assert len(reference) == 56
    assert ids.parse_reference(reference) == ("202611", 3, ids.group_key("acme", "g1"), message)


@pytest.mark.parametrize(
    "text", ["", "202611-003-12345678", "x" * 56, "2026-003-12345678-" + "a" * 36, "202611-003-12345678-" + "a" * 36]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ids.parse_reference(text)


def test_partition_of_a_company_is_stable() -> None:
    assert {ids.partition_of("acme", 16) for _ in range(3)} == {14}
