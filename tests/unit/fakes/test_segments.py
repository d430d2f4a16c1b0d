"""Parts of a text message at their boundaries."""

from __future__ import annotations

import pytest

from fakes.segments import count


@pytest.mark.parametrize(
    ("text", "parts", "encoding"),
    [
        ("", 1, "GSM_7BIT"),
        ("a" * 160, 1, "GSM_7BIT"),
        ("a" * 161, 2, "GSM_7BIT"),
        ("a" * 306, 2, "GSM_7BIT"),
        ("a" * 307, 3, "GSM_7BIT"),
        ("€" * 80, 1, "GSM_7BIT"),
        ("a" * 152 + "€" + "a" * 152, 3, "GSM_7BIT"),
        ("я" * 70, 1, "UCS2"),
        ("я" * 71, 2, "UCS2"),
        ("😀" * 35, 1, "UCS2"),
        ("я" * 66 + "😀" + "я" * 66, 3, "UCS2"),
    ],
)
def test_parts_at_the_boundaries(text: str, parts: int, encoding: str) -> None:
    assert count(text) == (parts, encoding)
