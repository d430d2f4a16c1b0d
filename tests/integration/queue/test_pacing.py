"""Tokens of one provider account, asked for by several dispatchers."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from morpheus_kit.queue.pacing import Pace, Told

FAILED = Told(failed=1, words="503")


@pytest.fixture
def pace(redis: Redis) -> Pace:
    return Pace(redis, "mandrill", "0a1b")


async def test_without_a_rate_all_that_is_asked_for_is_given(pace: Pace) -> None:
    assert await pace.ask("a", 50) == (50, 0, False)


async def test_the_rate_is_shared(redis: Redis) -> None:
    first, second = (Pace(redis, "ses", "eu-west-1", rate=10.0) for _ in range(2))
    assert (await first.ask("a", 8)).given == 8
    assert (await second.ask("b", 8)).given == 2
    none = await first.ask("a", 1)
    assert none.given == 0
    assert 0 < none.wait_ms <= 100
    await asyncio.sleep(0.35)
    assert 3 <= (await second.ask("b", 8)).given <= 5


async def test_accounts_do_not_disturb_each_other(redis: Redis, pace: Pace) -> None:
    await pace.tell("a", Told(throttled_ms=60_000))
    assert (await Pace(redis, "mandrill", "other").ask("b", 1)).given == 1
    assert (await Pace(redis, "ses", "0a1b").ask("b", 1)).given == 1


async def test_throttling_holds_for_all_and_ends(redis: Redis, pace: Pace) -> None:
    await pace.tell("a", Told(throttled_ms=300))
    held = await Pace(redis, "mandrill", "0a1b").ask("b", 5)
    assert held.given == 0
    assert 0 < held.wait_ms <= 300
    await asyncio.sleep(0.35)
    assert (await pace.ask("b", 5)).given == 5


async def test_a_row_of_failures_opens_the_breaker(pace: Pace) -> None:
    for _ in range(19):
        await pace.tell("a", FAILED)
    assert (await pace.ask("b", 5)) == (5, 0, True)
    await pace.tell("b", FAILED)
    held = await pace.ask("a", 5)
    assert held.given == 0
    assert 4_000 < held.wait_ms <= 5_000


async def test_one_success_ends_a_row_of_failures(pace: Pace) -> None:
    for _ in range(19):
        await pace.tell("a", FAILED)
    await pace.tell("b", Told(taken=1))
    await pace.tell("a", FAILED)
    assert (await pace.ask("b", 5)).given == 5


async def test_after_a_rest_one_message_tries(redis: Redis, pace: Pace) -> None:
    await pace.tell("a", Told(rest_ms=50, words="Invalid_Key"))
    assert (await pace.ask("a", 5)).given == 0
    await asyncio.sleep(0.06)
    given = await asyncio.gather(*[pace.ask(name, 5) for name in "abcdef"])
    assert sorted(each.given for each in given) == [0] * 5 + [1]
    prober = "abcdef"[[each.given for each in given].index(1)]
    await pace.tell(prober, Told(taken=1))
    assert await pace.ask("z", 5) == (5, 0, False)


async def test_a_late_success_does_not_end_a_rest(pace: Pace) -> None:
    await pace.tell("a", Told(rest_ms=60_000))
    await pace.tell("b", Told(taken=1))
    assert (await pace.ask("b", 5)).given == 0


async def test_a_probe_that_fails_opens_it_for_longer(redis: Redis, pace: Pace) -> None:
    await pace.tell("a", Told(rest_ms=20))
    await asyncio.sleep(0.03)
    assert (await pace.ask("b", 5)).given == 1
    await pace.tell("b", FAILED)
    first = (await pace.ask("b", 1)).wait_ms
    await redis.hset(pace.key, "open", 1)
    assert (await pace.ask("c", 5)).given == 1
    await pace.tell("c", FAILED)
    second = (await pace.ask("b", 1)).wait_ms
    assert 4_000 < first <= 5_000
    assert 9_000 < second <= 10_000


async def test_a_probe_that_never_tells_is_replaced(redis: Redis, pace: Pace) -> None:
    await pace.tell("a", Told(rest_ms=20))
    await asyncio.sleep(0.03)
    assert (await pace.ask("b", 5)).given == 1
    assert (await pace.ask("c", 5)).given == 0
    await redis.hset(pace.key, "probe_end", 1)
    assert (await pace.ask("c", 5)).given == 1


async def test_a_pause_lasts_until_it_is_lifted(redis: Redis, pace: Pace) -> None:
    await pace.ask("a", 1)
    await pace.pause("by hand")
    await pace.tell("a", Told(taken=1))
    assert (await pace.ask("a", 1)).given == 0
    assert await redis.ttl(pace.key) == -1
    await pace.resume()
    assert (await pace.ask("a", 1)).given == 1
    assert await redis.ttl(pace.key) != -1


async def test_a_pause_is_seen_with_the_words_of_the_first_who_paused(redis: Redis, pace: Pace) -> None:
    assert await pace.read() == ("running", False, "", 0.0)
    await pace.pause("by hand")
    await pace.pause("again")
    await pace.tell("a", Told(failed=20, rest_ms=60_000, words="late"))
    assert await Pace(redis, "mandrill", "0a1b").read() == ("paused", True, "by hand", 0.0)
    await pace.resume()
    assert await pace.read() == ("running", False, "", 0.0)


async def test_an_account_that_is_refused_is_paused_and_one_that_fails_is_open(pace: Pace) -> None:
    await pace.tell("a", Told(rest_ms=20, words="Invalid_Key"))
    assert await pace.read() == ("paused", False, "Invalid_Key", 0.0)
    await asyncio.sleep(0.03)
    # Until somebody has tried, nothing is known to be better.
    assert (await pace.read()).state == "paused"
    assert (await pace.ask("a", 1)).given == 1
    await pace.tell("a", Told(failed=1, words="503"))
    assert await pace.read() == ("open", False, "503", 0.0)
    await pace.resume()
    assert await pace.ask("b", 5) == (5, 0, False)


async def test_a_pause_does_not_forget_the_rate(pace: Pace) -> None:
    await pace.count(60)
    await pace.count(60)
    await pace.pause("by hand")
    await pace.resume()
    assert (await pace.read()).rate == 2.0


@pytest.mark.parametrize("told", [Told(), Told(throttled_ms=20)])
async def test_a_probe_that_was_not_sent_or_has_to_wait_leaves_the_try_to_another(pace: Pace, told: Told) -> None:
    await pace.tell("a", Told(rest_ms=20))
    await asyncio.sleep(0.03)
    assert (await pace.ask("b", 5)).given == 1
    await pace.tell("b", told)
    await asyncio.sleep(0.03)
    assert (await pace.ask("c", 5)).given == 1
