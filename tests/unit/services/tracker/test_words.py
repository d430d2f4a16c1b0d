"""What counts as a word, and as the same address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.words import LONGEST_WORD, distinct_words, split_words


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


@given(st.text() | st.text(alphabet="aB9é_- \t\n\x1f\x00.ß", max_size=600))
def test_a_document_has_each_of_its_words_once(text: str) -> None:
    words = [word[:LONGEST_WORD] for word in split_words(text)]
    assert distinct_words(text).split(" ") == (list(dict.fromkeys(words)) or [""])
