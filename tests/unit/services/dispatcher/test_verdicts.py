"""From an answer to what is done: a table."""

from __future__ import annotations

import pytest

from services.dispatcher.verdicts import MAX_TEXT, Answer, Policies, Verdict, Waits, decide, retry_delay

WAITS = Waits(retry_delays=(5.0, 10.0), uncertain_after=900.0)


def half() -> float:
    return 0.5


@pytest.mark.parametrize(
    ("verdict", "tries", "result", "event", "reason", "wait"),
    [
        (Verdict(Answer.ACCEPTED), 0, "sent", "sent", None, 0.0),
        (Verdict(Answer.REFUSED), 0, "failed", "failed", "provider_refused", 0.0),
        (Verdict(Answer.UNCLEAR), 0, "uncertain", "uncertain", "provider_unclear", 900.0),
        (Verdict(Answer.RETRY), 0, "retry", "deferred", "provider_unavailable", 2.5),
        (Verdict(Answer.RETRY), 1, "retry", "deferred", "provider_unavailable", 5.0),
        (Verdict(Answer.RETRY), 2, "failed", "failed", "retries_exhausted", 0.0),
        (Verdict(Answer.THROTTLED, wait_seconds=7.0), 2, "throttled", "deferred", "provider_throttled", 7.0),
        (Verdict(Answer.THROTTLED), 2, "throttled", "deferred", "provider_throttled", 30.0),
        (Verdict(Answer.PAUSED), 2, "throttled", "deferred", "provider_account", 60.0),
    ],
)
def test_decisions(verdict: Verdict, tries: int, result: str, event: str, reason: str | None, wait: float) -> None:
    decision = decide(verdict, tries, WAITS, half)
    assert (decision.result, decision.event_type, decision.reason) == (result, event, reason)
    assert decision.wait_seconds == pytest.approx(wait)
    assert bool(decision.text) == (reason is not None)


def test_the_words_of_the_provider_are_kept_on_one_line_and_not_too_long() -> None:
    decision = decide(Verdict(Answer.REFUSED, "550\r\n no " + "x" * 9999), 0, WAITS, half)
    assert decision.text.startswith("550 no x")
    assert len(decision.text) == MAX_TEXT


@pytest.mark.parametrize("share", [0.0, 0.999])
def test_full_jitter_waits_any_part_of_the_step(share: float) -> None:
    assert retry_delay((8.0,), 0, lambda: share) == 8.0 * share
    assert retry_delay((8.0,), 1, lambda: share) is None
    assert retry_delay((), 0, lambda: share) is None


def test_scaled_waits_scale_what_the_provider_tells_too() -> None:
    waits = WAITS.scaled(0.001)
    assert waits.retry_delays == (0.005, 0.01)
    assert waits.uncertain_after == pytest.approx(0.9)
    told = decide(Verdict(Answer.THROTTLED, wait_seconds=30.0), 0, waits, half)
    assert told.wait_seconds == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("of_group", "address", "policy"),
    [
        ("", "a@example.org", "resend"),
        ("", "+441234567890", "give_up"),
        ("give_up", "a@example.org", "give_up"),
        ("resend", "+441234567890", "resend"),
    ],
)
def test_policies(of_group: str, address: str, policy: str) -> None:
    assert Policies().choose(of_group, address) == policy


def test_retries_that_run_out_leave_a_message_that_was_uncertain_in_doubt() -> None:
    waits = Waits((), 900)
    found = [decide(Verdict(Answer.RETRY, "503"), 0, waits, lambda: 0.5, in_doubt=doubt) for doubt in (False, True)]
    assert [(each.result, each.reason, each.text) for each in found] == [
        ("failed", "retries_exhausted", "503"),
        ("failed", "uncertain_given_up", "503"),
    ]
