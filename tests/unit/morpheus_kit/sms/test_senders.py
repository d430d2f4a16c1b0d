from __future__ import annotations

import pytest

from morpheus_kit.sms.numbers import COUNTRIES
from morpheus_kit.sms.senders import SenderError, SenderKind, is_refused, parse_sender, rules


@pytest.mark.parametrize(
    ("text", "kind", "wire"),
    [
        ("ACME", SenderKind.ALPHANUMERIC, "ACME"),
        ("Acme Ltd 24", SenderKind.ALPHANUMERIC, "Acme Ltd 24"),
        ("A", SenderKind.ALPHANUMERIC, "A"),
        ("24680", SenderKind.SHORT_CODE, "24680"),
        ("07400 123456", SenderKind.NUMBER, "+447400123456"),
        ("+1 (415) 555-2671", SenderKind.NUMBER, "+14155552671"),
    ],
)
def test_senders(text: str, kind: SenderKind, wire: str) -> None:
    assert parse_sender(text) == (kind, wire)


@pytest.mark.parametrize("text", ["", "Twelve chars", "ACMÉ", "a@b.org", "Acme!", " Acme", "12", "+44 12", "A\nB"])
def test_what_can_be_no_sender(text: str) -> None:
    with pytest.raises(SenderError):
        parse_sender(text)


@pytest.mark.parametrize("country", ["US", "CA"])
def test_some_countries_refuse_names(country: str) -> None:
    assert is_refused(SenderKind.ALPHANUMERIC, country)
    assert not is_refused(SenderKind.NUMBER, country)


def test_the_rest_takes_everything() -> None:
    assert not is_refused(SenderKind.ALPHANUMERIC, "GB")
    assert not is_refused(SenderKind.ALPHANUMERIC, "")
    assert rules().keys() <= COUNTRIES
