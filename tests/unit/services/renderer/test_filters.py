"""Money, numbers, percentages, dates and times as the recipient's locale writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.renderer.filters import Formats, babel_locale
from services.renderer.settings import RenderSettings

Render = Callable[..., Any]
WHEN = datetime(2026, 7, 4, 15, 5, tzinfo=UTC)
VALUES = {
    "total": "1234.5",
    "fee": {"amount": "-3.00", "currency": "EUR"},
    "count": 1234567.891,
    "share": 0.256,
    "when": WHEN,
    "day": "2026-01-31",
    "nothing": None,
}


def shown(render: Render, expression: str, **group: Any) -> str:
    context = msgpack.packb(VALUES | group.pop("context", {}), datetime=True)
    source = "{{ " + expression + " }}"
    [answer] = render({"outer.html": "{{ content }}", "inner.html": source}, {"context": context}, **group)
    return str(answer.html or answer.failure.text)


@pytest.mark.parametrize(
    ("locale", "zone", "expression", "text"),
    [
        ("en-GB", "", "total|money('GBP')", "£1,234.50"),
        ("de", "", "total|money('EUR')", "1.234,50\u00a0€"),
        ("de", "", "fee|money", "-3,00\u00a0€"),
        ("en", "", "5|money('JPY')", "¥5"),
        ("en", "", "count|number", "1,234,567.891"),
        ("de", "", "count|number(1)", "1.234.567,9"),
        ("hi", "", "count|number(2)", "12,34,567.89"),
        ("en", "", "share|percent", "26%"),
        ("fr", "", "share|percent(1)", "25,6\u00a0%"),
        ("tr", "", "share|percent(1)", "%25,6"),
        ("en-GB", "", "when|date", "4 Jul 2026"),
        ("de", "", "when|date('full')", "Samstag, 4. Juli 2026"),
        ("en", "", "day|date('d MMMM')", "31 January"),
        ("en-GB", "Europe/London", "when|time", "16:05"),
        ("en-GB", "Asia/Tokyo", "'2026-07-04T15:05:00'|datetime('short')", "05/07/2026, 00:05"),
        ("en-GB", "Asia/Tokyo", "when|date('short')", "05/07/2026"),
        ("en-GB", "", "when|datetime('d MMM HH:mm', 'America/New_York')", "4 Jul 11:05"),
        ("en-ZZ", "", "total|money('USD')", "$1,234.50"),
        ("en", "", "nothing|money('GBP')", ""),
        ("en", "", "''|date", ""),
    ],
)
def test_values_are_written_as_the_locale_does(
    render: Render, locale: str, zone: str, expression: str, text: str
) -> None:
    assert (
        shown(render, "'[' ~ (" + expression + ") ~ ']'", context={"locale": locale, "time_zone": zone}) == f"[{text}]"
    )


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("total|money", "'' is not a currency"),
        ("total|money('gbp')", "'gbp' is not a currency"),
        ("'five'|money('GBP')", "'five' is not a number"),
        ("true|number", "True is not a number"),
        ("'1e999999'|number", "'1e999999' is not a number that can be"),
        ("count|number(99)", "99 decimals"),
        ("count|number([])", "filter number"),
        ("'soon'|date", "'soon' is not a date"),
        ("5|date", "5 is not a time"),
        ("when|date(5)", "5 is not a way"),
        ("when|time('short', 'Mars/Base')", "'Mars/Base' is not a time zone"),
        ("when|time('short', '../../etc/passwd')", "is not a time zone"),
        ("absent|money('GBP')", "variable 'absent' is missing"),
    ],
)
def test_what_cannot_be_written_fails_its_message_and_is_named(render: Render, expression: str, words: str) -> None:
    assert words in shown(render, expression)


def test_line_of_a_failing_filter_is_named(render: Render) -> None:
    [answer] = render({"outer.html": "{{ content }}", "inner.html": "\n\n{{ 'x'|number }}"})
    assert answer.failure.text == "inner.html, line 3: filter number: 'x' is not a number"


def test_recipients_without_locale_get_the_default(render: Render) -> None:
    settings = RenderSettings(locale="de", time_zone="Europe/Berlin")
    assert shown(render, "total|number(2) ~ when|time", settings=settings) == "1.234,5017:05"


def test_each_recipient_has_its_own_locale_in_macros_and_constants_too(render: Render) -> None:
    templates = {
        "outer.html": "{{ content }}",
        "inner.html": "{% import 'm.html' as m %}{{ m.price(x) }} {{ m.fixed }} {{ 1.5|number }}",
        "m.html": "{% set fixed = 2.5|number %}{% macro price(x) %}{{ x|money('EUR') }}{% endmacro %}",
    }
    recipients = [{"context": {"x": 3, "locale": locale}} for locale in ("de", "en", "de")]
    answers = render(templates, *recipients, subject_template="{{ x|money('EUR') }}")
    assert [answer.html for answer in answers] == [
        "3,00\u00a0€ 2,5 1,5",
        "€3.00 2.5 1.5",
        "3,00\u00a0€ 2,5 1,5",
    ]
    assert [answer.subject for answer in answers] == ["3,00 €", "€3.00", "3,00 €"]


def test_text_messages_get_spaces_that_cost_nothing(render: Render) -> None:
    group = {"outer_template": "", "subject_template": "", "inner_template": "sms.txt"}
    [answer] = render({"sms.txt": "{{ 1234.5|money('EUR') }}"}, {"context": {"locale": "fr"}}, **group)
    assert answer.text == "1 234,50 €"


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2), st.sampled_from(["en", "de", "fr", "hi", "tr"]))
def test_money_reads_back_as_the_same_amount(amount: Any, locale: str) -> None:
    formats = Formats()
    formats.use(locale, "UTC")
    text = formats.filters(plain=True)["money"](None, str(amount), "EUR")
    symbols = babel_locale(locale).number_symbols["latn"]
    digits = "".join(char for char in text.replace(symbols["decimal"], "!") if char.isdigit() or char == "!")
    assert digits.replace("!", ".") == f"{abs(amount):.2f}"
    assert ("-" in text) == (amount.is_signed())
