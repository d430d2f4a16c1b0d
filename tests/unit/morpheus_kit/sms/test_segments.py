from __future__ import annotations

import pytest

from morpheus_kit.sms.segments import Encoding, describe, downgrade, measure
from tests.segments_reference import random_texts, reference_count

GSM, UCS = Encoding.GSM7, Encoding.UCS2
SMILE = "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("text", "encoding", "count", "units"),
    [
        ("", GSM, 1, 0),
        ("a" * 160, GSM, 1, 160),
        ("a" * 161, GSM, 2, 161),
        ("a" * 306, GSM, 2, 306),
        ("a" * 307, GSM, 3, 307),
        ("€" * 80, GSM, 1, 160),
        ("€" * 81, GSM, 2, 162),
        ("a" * 158 + "€", GSM, 1, 160),
        ("a" * 159 + "€", GSM, 2, 161),
        ("a" * 152 + "€" + "a" * 151, GSM, 2, 305),
        ("a" * 152 + "€" + "a" * 152, GSM, 3, 306),
        ("a" * 153 + "€" + "a" * 151, GSM, 2, 306),
        ("€" * 152, GSM, 2, 304),
        ("€" * 153, GSM, 3, 306),
        ("\n\r\f^{}\\[~]|", GSM, 1, 20),
        ("ç", UCS, 1, 1),
        ("д" * 70, UCS, 1, 70),
        ("д" * 71, UCS, 2, 71),
        ("д" * 134, UCS, 2, 134),
        ("д" * 135, UCS, 3, 135),
        (SMILE * 35, UCS, 1, 70),
        (SMILE * 36, UCS, 2, 72),
        ("д" * 66 + SMILE + "д" * 65, UCS, 2, 133),
        ("д" * 66 + SMILE + "д" * 66, UCS, 3, 134),
        ("д" * 67 + SMILE + "д" * 65, UCS, 2, 134),
        (SMILE * 66, UCS, 2, 132),
        (SMILE * 67, UCS, 3, 134),
    ],
)
def test_counts_at_the_boundaries(text: str, encoding: Encoding, count: int, units: int) -> None:
    found = measure(text)
    assert (found.encoding, found.count, found.units) == (encoding, count, units)
    assert reference_count(text) == (encoding.value, count)


def test_agrees_with_an_independent_codec() -> None:
    for text in random_texts(20_000, seed=7):
        found = measure(text)
        assert (found.encoding.value, found.count) == reference_count(text), repr(text)


def test_offending_characters_are_named_once_and_in_order() -> None:
    found = measure("It’s “here” and it’s €5")
    assert found.offending == ("’", "“", "”")
    assert found.explain().startswith("U+2019 RIGHT SINGLE QUOTATION MARK, U+201C LEFT DOUBLE QUOTATION MARK")
    assert not measure("plain €").explain()


def test_a_long_list_of_offending_characters_is_cut() -> None:
    assert measure("абвгдежзийкл").explain().endswith("U+0439 CYRILLIC SMALL LETTER SHORT I and 2 more")
    assert describe("\x01") == "U+0001 (without a name)"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It’s “here” – now…", 'It\'s "here" - now...'),
        ("cafe\u0301\u00a0ol\u00e9", "café olé"),
        ("already 'plain' €", "already 'plain' €"),
        ("It’s дома", "It’s дома"),
        ("ﬁne\u200b", "fine"),
    ],
)
def test_downgrade_only_where_it_makes_a_text_gsm7(text: str, plain: str) -> None:
    assert downgrade(text) == plain
