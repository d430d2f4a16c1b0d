"""How long records are kept: whole months, counted from their end, by company.

A record belongs to the month in which the first part of its group was accepted. It goes when that month has been over
for the company's time, so it is kept at least as long as that, and at most a month longer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

DAY_S: Final = 86_400
LEAST_S: Final = 40 * DAY_S
"""A group may wait for 31 days before it is sent, and its last retries come a day later."""
_COMPANY: Final = re.compile(r"[a-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds; of companies that are not named the common one."""

    common_s: float = 365 * DAY_S
    companies_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """Of all companies."""
        return max(self.common_s, *self.companies_s.values()) if self.companies_s else self.common_s

    @property
    def shortest_s(self) -> float:
        """Of all companies."""
        return min(self.common_s, *self.companies_s.values()) if self.companies_s else self.common_s

    def of(self, company: str) -> float:
        """Seconds after the end of a month."""
        return self.companies_s.get(company, self.common_s)

    def is_over(self, company: str, month: str, now_ms: int) -> bool:
        """Whether a company's records of `YYYYMM` are not kept any more."""
        return month < first_kept(self.of(company), now_ms)

    def over_ms(self, company: str, month: str) -> int:
        """When that will be."""
        return month_start_ms(_after(month)) + round(self.of(company) * 1000)


KEPT_A_YEAR: Final = Retention()


def first_kept(retention_s: float, now_ms: int) -> str:
    """The first month, `YYYYMM`, of which records are kept."""
    return datetime.fromtimestamp(max(0.0, now_ms / 1000 - retention_s), UTC).strftime("%Y%m")


def month_start_ms(month: str) -> int:
    """The beginning of `YYYYMM`, in milliseconds."""
    return round(datetime(int(month[:4]), int(month[4:]), 1, tzinfo=UTC).timestamp() * 1000)


def _after(month: str) -> str:
    year, number = int(month[:4]), int(month[4:])
    return f"{year + number // 12:04d}{number % 12 + 1:02d}"


def _parse(value: object) -> object:
    """`acme=7776000,shop=63072000` as pairs. ValueError."""
    if not isinstance(value, str):
        return value
    found: dict[str, float] = {}
    for item in filter(None, (each.strip() for each in value.split(","))):
        company, _, seconds = item.partition("=")
        if not _COMPANY.fullmatch(company) or not seconds.isdigit():
            raise ValueError(f"must be <company code>=<seconds>,…: {item[:80]}")
        if int(seconds) < LEAST_S:
            raise ValueError(f"{company}: at least {LEAST_S} seconds")
        found[company] = float(seconds)
    return tuple(found.items())


Common = Annotated[float, Field(ge=LEAST_S)]
Companies = Annotated[tuple[tuple[str, float], ...], BeforeValidator(_parse)]
COMMON_TEXT: Final = (
    "Seconds that records are kept after the end of the month in which their group was accepted, and a repeated post "
    f"is recognised; at least {LEAST_S}. The same in intake and tracker."
)
COMPANIES_TEXT: Final = (
    "Companies whose records are kept for another time, `acme=7776000,shop=63072000`. The same in intake and tracker."
)
