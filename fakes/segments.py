"""How many parts a text message has, as both SMS providers count them for their answers."""

from __future__ import annotations

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED: Final = frozenset("\f^{}\\[~]|€")


def count(text: str) -> tuple[int, str]:
    """Parts and encoding, `GSM_7BIT` or `UCS2`; no unit of two halves is cut."""
    if all(character in _BASIC or character in _ESCAPED for character in text):
        return _parts([2 if character in _ESCAPED else 1 for character in text], 160, 153), "GSM_7BIT"
    return _parts([2 if ord(character) > 0xFFFF else 1 for character in text], 70, 67), "UCS2"


def _parts(sizes: list[int], single: int, part: int) -> int:
    if sum(sizes) <= single:
        return 1
    parts, used = 1, 0
    for size in sizes:
        if used + size > part:
            parts, used = parts + 1, 0
        used += size
    return parts
