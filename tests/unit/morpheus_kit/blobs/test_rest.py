"""How long a store of S3 that does not answer is left alone."""

from __future__ import annotations

import pytest

from morpheus_kit.blobs.s3 import LONGEST_REST_SECONDS, Rest
from morpheus_kit.errors import UnavailableError


def rests(rest: Rest, now: float) -> bool:
    try:
        rest.check(now)
    except UnavailableError:
        return True
    return False


def test_one_answer_that_is_missing_means_nothing() -> None:
    rest = Rest()
    rest.timed_out(100)
    rest.answered()
    rest.timed_out(100)
    assert not rests(rest, 100)


@pytest.mark.parametrize(("timeouts", "seconds"), [(2, 1), (3, 2), (4, 4), (30, LONGEST_REST_SECONDS)])
def test_each_further_one_doubles_the_rest(timeouts: int, seconds: float) -> None:
    rest, now = Rest(), 0.0
    for _ in range(timeouts):
        now += 100
        rest.timed_out(now)
    assert rests(rest, now + seconds - 0.01)
    assert not rests(rest, now + seconds)


def test_many_that_were_asked_at_once_are_one() -> None:
    rest = Rest()
    for _ in range(50):
        rest.timed_out(100)
    assert rests(rest, 100.9)
    assert not rests(rest, 101)


def test_after_the_rest_one_that_is_missing_is_enough_for_the_next() -> None:
    rest = Rest()
    for now in (100, 100, 101):
        rest.timed_out(now)
    assert rests(rest, 102.9)
