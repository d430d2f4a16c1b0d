from __future__ import annotations

import pytest

from morpheus_kit.sms.numbers import Number, NumberError, country_of, looks_like_number, parse_number


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("07400 123456", "GB", Number("+447400123456", "GB")),
        ("+44 7400 123456", "US", Number("+447400123456", "GB")),
        ("0044 7400 123456", "GB", Number("+447400123456", "GB")),
        ("(415) 555-2671", "US", Number("+14155552671", "US")),
        ("+1 613 555 0172", "GB", Number("+16135550172", "CA")),
        ("0170 1234567", "DE", Number("+491701234567", "DE")),
        ("+881612345678", "GB", Number("+881612345678", "")),
        ("07700 900123", "GB", Number("+447700900123", "GB")),
        ("+1 555 555 0123", "GB", Number("+15555550123", "US")),
        ("06 39 98 12 34", "FR", Number("+33639981234", "FR")),
    ],
)
def test_a_number_in_any_writing_becomes_one(text: str, country: str, number: Number) -> None:
    assert parse_number(text, country) == number
    assert country_of(number.e164) == number.country


@pytest.mark.parametrize(
    ("text", "country", "why"),
    [
        ("123456", "GB", "area code"),
        ("+4474001234567890", "GB", "too long"),
        ("+999123456", "GB", "no country's code"),
        ("+44 7000", "GB", "area code"),
        ("+44 74", "GB", "too short"),
        ("+1 200 234 5678", "GB", "given out"),
        ("call me", "GB", "not a telephone number"),
        ("+44 7400 123456 ext 5", "GB", "not a telephone number"),
        ("", "GB", "not a telephone number"),
    ],
)
def test_what_is_no_number_says_why(text: str, country: str, why: str) -> None:
    with pytest.raises(NumberError, match=why):
        parse_number(text, country)


def test_the_country_of_nothing_is_nothing() -> None:
    assert country_of("nonsense") == ""
    assert not looks_like_number("ann@example.org")
    assert looks_like_number("+1 (415) 555.2671")
