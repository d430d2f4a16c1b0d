"""Months, and when they are over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from morpheus_kit.retention import DAY_S, LEAST_S, Companies, Retention, first_kept, month_start_ms

RETENTION = Retention(365 * DAY_S, {"brief": 40 * DAY_S, "long": 800 * DAY_S})


def ms(*date: int) -> int:
    return round(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("company", "month", "last"),
    [
        ("acme", "202606", (2027, 7, 1)),
        ("brief", "202606", (2026, 8, 10)),
        ("brief", "202612", (2027, 2, 10)),
        ("long", "202602", (2028, 5, 9)),
    ],
)
def test_a_month_is_over_when_it_has_been_past_for_its_company_s_time(
    company: str, month: str, last: tuple[int, ...]
) -> None:
    assert RETENTION.over_ms(company, month) == ms(*last)
    assert not RETENTION.is_over(company, month, ms(*last) - 1 - 31 * DAY_S * 1000)
    edge = ms(*last)
    assert RETENTION.is_over(company, month, edge)
    assert not RETENTION.is_over(company, month, edge - 1)


def test_the_longest_and_the_shortest_are_those_of_anybody() -> None:
    assert (RETENTION.longest_s, RETENTION.shortest_s) == (800 * DAY_S, 40 * DAY_S)
    assert (Retention(7).longest_s, Retention(7).shortest_s) == (7, 7)


def test_months_begin_in_utc() -> None:
    assert month_start_ms("202601") == ms(2026, 1, 1)
    assert first_kept(0, ms(2026, 1, 1)) == "202601"
    assert first_kept(1, ms(2026, 1, 1)) == "202512"
    assert first_kept(10**12, ms(2026, 1, 1)) == "197001"


@pytest.mark.parametrize("text", ["acme", "Acme=9999999", "acme=1", "acme=-9999999", "acme=1e9", f"a={LEAST_S - 1}"])
def test_what_is_no_list_of_companies_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Companies).validate_python(text)


def test_companies_are_read_from_text() -> None:
    read = TypeAdapter(Companies).validate_python(f"acme={LEAST_S}, shop=9999999,")
    assert dict(read) == {"acme": LEAST_S, "shop": 9999999}
