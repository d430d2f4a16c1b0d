"""What the webhooks share: forms, masks, times, names of types."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from morpheus_kit.errors import UnauthenticatedError
from services.tracker.webhooks.base import decoded_form, known_type, masked, millis_of, millis_of_text, words_of


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
@example([("a", "= %41\r\n=\n"), ("", "")])
def test_a_form_is_read_as_it_was_written(fields: list[tuple[str, str]]) -> None:
    wanted = [
        (name.encode(errors="replace").decode(), value.encode(errors="replace").decode()) for name, value in fields
    ]
    assert decoded_form(urlencode(wanted).encode()) == wanted


@given(st.text(alphabet="ab%=&+4123EeFf0_ \t\n\r", max_size=30))
@example("a=%%341")
@example("a=%3D=%")
@example("=3D")
@example("%\r")
def test_any_text_is_read_as_the_standard_library_does(text: str) -> None:
    try:
        wanted = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        with pytest.raises(UnauthenticatedError):
            decoded_form(text.encode())
    else:
        assert decoded_form(text.encode()) == wanted


def test_a_form_of_very_many_fields_is_refused() -> None:
    assert len(decoded_form(b"&".join([b"a=b"] * 200))) == 200
    with pytest.raises(UnauthenticatedError):
        decoded_form(b"&".join([b"a=b"] * 201))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("550 <ada@example.com> unknown", "550 <…> unknown"),
        ("to=ada.b+c@sub.example.co.uk;", "…;"),
        ("+44 7700 900001 is off", "… is off"),
        ("call 07700-900001", "call …"),
        ("5.1.1 at 250 2.0.0", "5.1.1 at 250 2.0.0"),
    ],
)
def test_addresses_and_numbers_are_masked(text: str, left: str) -> None:
    assert masked(text) == left


def test_words_are_one_short_line() -> None:
    assert words_of("a\r\n b", None, "", 10) == "a b · 10"
    assert len(words_of("x" * 2000)) == 500


def test_times_are_milliseconds_and_within_reason() -> None:
    assert (millis_of(1.5), millis_of_text("1970-01-01T00:00:01.234Z")) == (1500, 1234)
    assert millis_of_text("1970-01-01T00:00:01") == millis_of_text("1970-01-01T01:00:01+01:00") == 1000
    for wrong in (True, "1", None, 0, -1, float("nan"), float("inf"), 10**18):
        with pytest.raises(ValueError, match=r"time|NaN"):
            millis_of(wrong)
    for wrong in ("", None, "soon", "1960-01-01T00:00:00Z"):
        with pytest.raises(ValueError, match=r"time|isoformat"):
            millis_of_text(wrong)


def test_an_unknown_word_cannot_be_mistaken_for_a_type_of_ours() -> None:
    assert known_type("x", "a", {"a": "opened"}) == "opened"
    assert known_type("x", "opened/\n\u202e!" + "y" * 100, {}).startswith("x.opened_y")
    assert len(known_type("x", "y" * 100, {})) == 66
