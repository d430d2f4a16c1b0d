"""Segments by another way, over encoded octets of published codecs, to hold `morpheus_kit.sms.segments` against."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache

import gsm0338

_codec = gsm0338.Codec()
_ESCAPE = 0x1B
_LATIN = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?@£$¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤§¿äöñüà\n\r"
_ESCAPED = "^{}\\[~]|€\f"
_OTHER = "çÁáДжשאमあ漢“”’–…\u00a0`\t"
_PAIRS = "\U0001f600\U0001f44d\U00020000\U0001f1ec\U0001f1e7"
_SPOTS = (66, 67, 133, 134, 152, 153, 304, 305)
_LENGTHS = (1, 35, 69, 70, 71, 134, 135, 152, 153, 154, 159, 160, 161, 201, 305, 306, 307, 460)


@cache
def octets(char: str) -> bytes | None:
    """A character as the published codec writes it; None when it cannot."""
    try:
        return bytes(_codec.encode(char)[0])
    except UnicodeEncodeError:
        return None


def reference_count(text: str) -> tuple[str, int]:
    """Encoding and segments, by cutting the encoded text and stepping back where a cut is not allowed."""
    encoded = list(map(octets, text))
    if None not in encoded:
        septets = b"".join(encoded)  # type: ignore[arg-type]  # there is no None among them
        return "gsm7", _cuts(septets, range(_ESCAPE, _ESCAPE + 1), 160, 153)
    units = memoryview(text.encode("utf-16-le")).cast("H")
    return "ucs2", _cuts(units, range(0xD800, 0xDC00), 70, 67)


def _cuts(units: Sequence[int], opens_a_pair: range, alone: int, joined: int) -> int:
    total = len(units)
    if total <= alone:
        return 1
    count = position = 0
    while position < total:
        position += joined
        if position < total and units[position - 1] in opens_a_pair:
            position -= 1
        count += 1
    return count


def random_texts(number: int, seed: int) -> Iterator[str]:
    """Texts of every kind with lengths near the boundaries; what takes two units lies often at a cut."""
    source = random.Random(seed)
    kinds = ((_LATIN,), (_LATIN, _ESCAPED), (_ESCAPED,), (_LATIN, _OTHER), (_OTHER, _PAIRS), (_LATIN, _ESCAPED, _PAIRS))
    for _ in range(number):
        length = max(0, int(source.random() * 5) - 2 + source.choice(_LENGTHS))
        kind = source.choice(kinds)
        text = [kind[0][length % len(kind[0])]] * length
        for _ in range(int(source.random() * 8) if length else 0):
            letters = kind[int(source.random() * len(kind))]
            spot = source.choice(_SPOTS) if source.random() < 0.7 else int(source.random() * length)
            text[min(spot, length - 1)] = letters[int(source.random() * len(letters))]
        yield "".join(text)
