"""Months, as references name them."""

from __future__ import annotations

from datetime import UTC, datetime


def month_of(time_ms: int) -> str:
    """`YYYYMM` in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y%m")
