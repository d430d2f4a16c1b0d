"""What a batch of verdicts says about an account."""

from __future__ import annotations

from morpheus_kit.queue.pacing import Told
from services.dispatcher.pacing import summary
from services.dispatcher.verdicts import Answer, Verdict, Waits

WAITS = Waits((), 1.0)


def test_refusals_show_that_the_provider_works() -> None:
    verdicts = [Verdict(Answer.ACCEPTED), Verdict(Answer.REFUSED, "no"), Verdict(Answer.CONFIGURATION, "no")]
    assert summary(verdicts, WAITS) == Told(taken=3)


def test_no_answer_and_no_service_are_failures() -> None:
    verdicts = [Verdict(Answer.RETRY, "503"), Verdict(Answer.UNCLEAR, "silent"), Verdict(Answer.ACCEPTED)]
    assert summary(verdicts, WAITS) == Told(taken=1, failed=2, words="503")


def test_the_longest_wait_counts_and_has_a_default() -> None:
    throttled = [Verdict(Answer.THROTTLED, wait_seconds=seconds) for seconds in (1.0, 7.0)]
    assert summary(throttled, WAITS) == Told(throttled_ms=7_000)
    assert summary([Verdict(Answer.THROTTLED)], WAITS) == Told(throttled_ms=30_000)


def test_trouble_with_the_account_is_a_rest_with_the_words() -> None:
    verdicts = [Verdict(Answer.PAUSED, "Invalid_Key"), Verdict(Answer.ACCEPTED)]
    assert summary(verdicts, WAITS) == Told(taken=1, rest_ms=60_000, words="Invalid_Key")
