"""The rate of a provider, from the buckets of its pace."""

from __future__ import annotations

import pytest

from morpheus_kit.queue.pacing import rate_of

NOW = 1_780_000_000_000  # a bucket begins
BUCKET = NOW // 5000


@pytest.mark.parametrize(
    ("age", "into_ms", "rate"),
    [
        (0, 0, 1.0),
        (11, 4999, 1.0),
        (12, 0, 1.0),
        (12, 2500, 0.5),
        (12, 5000 - 1, 0.0002),
        (13, 0, 0.0),
        (500, 0, 0.0),
    ],
)
def test_of_the_bucket_in_which_the_minute_begins_a_part_counts(age: int, into_ms: int, rate: float) -> None:
    fields = {f"sent:{(BUCKET - age) % 13}": f"{BUCKET - age} 60", "tokens": "5"}
    assert rate_of(fields, NOW + into_ms) == pytest.approx(rate)


def test_a_steady_rate_is_seen_at_any_moment() -> None:
    fields = {f"sent:{number % 13}": f"{number} 50" for number in range(BUCKET - 12, BUCKET)}
    for into_ms in (0, 1000, 4999):
        share = {**fields, f"sent:{BUCKET % 13}": f"{BUCKET} {into_ms // 100}"}
        assert rate_of(share, NOW + into_ms) == pytest.approx(10.0, rel=0.002)
