"""What a word is, for indexing and for searching: a maximal run of Unicode letters and digits,
case- and accent-folded, no stemming.

An index is given each word of a text once, separated by spaces.
"""

from __future__ import annotations

import codecs
import unicodedata
from functools import lru_cache

# Letters that no decomposition takes apart, as accent folding is understood.
_STROKES = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe"}
)
_SEPARATORS = {code: " " for code in range(128) if not chr(code).isalnum()}
_ASCII = bytes(ord(_SEPARATORS.get(code, chr(code).lower())) for code in range(128)) + bytes(128)
_FOLDING = "morpheus.fold"


def _folded(text: str) -> bytes:
    """Accents folded, and case but that of ASCII; in UTF-8. The codec finds what `_fold_error` is to fold."""
    return text.encode("ascii", _FOLDING)


def _fold_error(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _fold_run(error.object[error.start : error.end]), error.end


@lru_cache(maxsize=4096)
def _fold_run(run: str) -> bytes:
    """Folding looks at one character at a time, and few runs make up most of what a language writes beyond ASCII."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", run).casefold())
    bare = "".join([char for char in decomposed if unicodedata.category(char) != "Mn"]).translate(_STROKES)
    return "".join([char if char.isalnum() else " " for char in bare]).encode()


codecs.register_error(_FOLDING, _fold_error)


LONGEST_WORD = 255
"""Longer words are found by their first characters."""


def split_words(query: str) -> list[str]:
    """The folded words of a query, in order; empty when it has no letter or digit."""
    return _folded(query).decode().lower().translate(_SEPARATORS).split()


def distinct_words(text: str) -> str:
    """Each word of a text once, in order, as far as it is looked at; separated by spaces."""
    folded = _folded(text)
    if not folded.isascii():
        return " ".join(dict.fromkeys([word[:LONGEST_WORD] for word in split_words(text)]))
    words = dict.fromkeys(folded.translate(_ASCII).split())  # the same, three times faster
    if words and len(max(words, key=len)) > LONGEST_WORD:
        words = dict.fromkeys([word[:LONGEST_WORD] for word in words])
    return b" ".join(words).decode()
