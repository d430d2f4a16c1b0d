"""How many segments a text message takes (3GPP TS 23.038 and 23.040). Pure.

A text is GSM-7 when its alphabet can write all of it, else UCS-2. A segment of a longer text loses seven septets, or
three units, to the header that joins it to the others. What takes two of them (an escaped character, a surrogate
pair) never straddles two segments, so the count is not the length divided by the size.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = "\f^{}\\[~]|€"
_BASIC_ONLY = re.compile(f"[{re.escape(_BASIC)}]*")
_GSM = re.compile(f"[{re.escape(_BASIC + _ESCAPED)}]*")
_TWO_SEPTETS = frozenset(_ESCAPED)
_ALPHABET = frozenset(_BASIC + _ESCAPED)
_NAMED_AT_MOST = 10

# What typesetting and word processors put in place of a plain character. Nothing here changes a word.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´ʼ", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\t", " "),
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),
        **dict.fromkeys("\u2028\u2029", "\n"),
        **dict.fromkeys("•·", "*"),
        "…": "...",
        "ﬁ": "fi",
        "ﬂ": "fl",
    }
)


class Encoding(StrEnum):
    """How a text goes over the air."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


@dataclass(frozen=True, slots=True)
class Limits:
    """Units of a text that fits into one segment, and of each segment of a longer one."""

    alone: int
    joined: int


LIMITS = {Encoding.GSM7: Limits(160, 153), Encoding.UCS2: Limits(70, 67)}


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text takes. `units`: septets, or 16-bit units; `offending`: what keeps it from being GSM-7."""

    encoding: Encoding
    count: int
    units: int
    offending: tuple[str, ...] = ()

    def explain(self) -> str:
        """The offending characters by name, for a person; empty for GSM-7."""
        named = [describe(char) for char in self.offending[:_NAMED_AT_MOST]]
        more = len(self.offending) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")


def measure(text: str) -> Segments:
    """Encoding and number of segments; an empty text takes one."""
    if _BASIC_ONLY.fullmatch(text):
        return Segments(Encoding.GSM7, _even(len(text), LIMITS[Encoding.GSM7]), len(text))
    if _GSM.fullmatch(text):
        units = len(text) + sum(text.count(char) for char in _ESCAPED)
        limits = LIMITS[Encoding.GSM7]
        return Segments(Encoding.GSM7, _greedy((1 + (char in _TWO_SEPTETS) for char in text), units, limits), units)
    limits = LIMITS[Encoding.UCS2]
    offending = tuple(dict.fromkeys(char for char in text if char not in _ALPHABET))
    if max(text) <= "\uffff":
        return Segments(Encoding.UCS2, _even(len(text), limits), len(text), offending)
    units = len(text) + sum(char > "\uffff" for char in text)
    return Segments(Encoding.UCS2, _greedy((1 + (char > "\uffff") for char in text), units, limits), units, offending)


def downgrade(text: str) -> str:
    """The text with plain quotes, dashes and spaces, when that alone makes it GSM-7; else unchanged."""
    if _GSM.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFC", text).translate(_PLAIN)
    return plain if _GSM.fullmatch(plain) else text


def describe(char: str) -> str:
    """A character by code point and name: `U+2019 RIGHT SINGLE QUOTATION MARK`."""
    return f"U+{ord(char):04X} {unicodedata.name(char, '(without a name)')}"


def _even(units: int, limits: Limits) -> int:
    """Where nothing takes two units."""
    return 1 if units <= limits.alone else -(-units // limits.joined)


def _greedy(costs: Iterable[int], units: int, limits: Limits) -> int:
    """Where what takes two of them moves to the next segment when one is left."""
    if units <= limits.alone:
        return 1
    count, used = 1, 0
    for cost in costs:
        if used + cost > limits.joined:
            count, used = count + 1, 0
        used += cost
    return count
