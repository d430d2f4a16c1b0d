"""What a word is, for indexing and for searching: a maximal run of Unicode letters and digits,
case- and accent-folded, no stemming.

The index splits at everything in ASCII that is neither letter nor digit and folds ASCII case, so
pure ASCII text passes through as it is.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Letters that no decomposition takes apart, as accent folding is understood.
_STROKES = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe"}
)
_SEPARATORS = {code: " " for code in range(128) if not chr(code).isalnum()}
_ASCII = bytes(ord(_SEPARATORS.get(code, chr(code).lower())) for code in range(128)) + bytes(128)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def fold_text(text: str) -> str:
    """Text with accents folded, and case but that of ASCII; its words are separated by what ASCII calls no word."""
    if text.isascii():
        return text
    return _BEYOND_ASCII.sub(_folded_match, text)


def _folded_match(match: re.Match[str]) -> str:
    return _fold_run(match.group())


@lru_cache(maxsize=4096)
def _fold_run(run: str) -> str:
    """Folding looks at one character at a time, and few runs make up most of what a language writes beyond ASCII."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", run).casefold())
    bare = "".join([char for char in decomposed if unicodedata.category(char) != "Mn"]).translate(_STROKES)
    return "".join([char if char.isalnum() else " " for char in bare])


LONGEST_WORD = 255
"""Longer words are found by their first characters."""


def split_words(query: str) -> list[str]:
    """The folded words of a query, in order; empty when it has no letter or digit."""
    return fold_text(query).lower().translate(_SEPARATORS).split()


def distinct_words(text: str) -> str:
    """Each word of a text once, in order, as far as it is looked at; separated by spaces."""
    folded = fold_text(text)
    if folded.isascii():  # the same as below, three times faster
        raw = folded.encode().translate(_ASCII).split()
        return b" ".join(dict.fromkeys([word[:LONGEST_WORD] for word in raw])).decode()
    return " ".join(dict.fromkeys([word[:LONGEST_WORD] for word in split_words(folded)]))
