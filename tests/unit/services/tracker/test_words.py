"""What counts as a word, and as the same address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.words import fold_text, normalise_address, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Zoë ÅNGSTRÖM", ["zoe", "angstrom"]),
        ("Straße", ["strasse"]),
        ("Łódź Sørensen", ["lodz", "sorensen"]),
        ("order_17-b", ["order", "17", "b"]),
        ("john.smith@example.com", ["john", "smith", "example", "com"]),
        ("日本語 2024年", ["日本語", "2024年"]),
        ("ﬁne İstanbul", ["fine", "istanbul"]),
        ("— … !", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert split_words(" ".join(split_words(text))) == split_words(text)


@given(st.text())
def test_index_and_query_see_the_same_words(text: str) -> None:
    assert split_words(fold_text(text)) == split_words(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jo@Example.com", " jo@example.COM "),
        ("+44 20 7946-0018", "00442079460018"),
        ("+44 (20) 79460018", "442079460018"),
    ],
)
def test_same_address_in_other_notation(one: str, other: str) -> None:
    assert normalise_address(one) == normalise_address(other)
