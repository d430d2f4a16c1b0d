"""What a provider's answer means, and what follows from it. Pure: no clock, no queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from morpheus_kit.queue.scripts import SendResult
from morpheus_kit.reasons import TEXTS, ReasonCode

MAX_TEXT = 500
# Waits of answers that name none, in seconds.
THROTTLE_WAIT = 30.0
PAUSE_WAIT = 60.0


class Answer(StrEnum):
    """The kinds of answers, `docs/guarantees.md`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    RETRY = "retry"
    THROTTLED = "throttled"
    """Wait as told; no try is used up."""
    PAUSED = "paused"
    """Our account is the problem: nothing fails, this provider rests."""
    CONFIGURATION = "configuration"
    """The group asks for what our account does not have: nothing fails, the group rests."""
    UNCLEAR = "unclear"
    """It may or may not have the message."""


class Verdict(msgspec.Struct, frozen=True):
    """One answer. `text`: the provider's words; `wait_seconds`: as told by it.

    `reason`: of a refusal, what is known better than that; `detail`: what it says of size and cost.
    """

    answer: Answer
    text: str = ""
    external_id: str = ""
    wait_seconds: float | None = None
    reason: ReasonCode | None = None
    detail: Mapping[str, str | int] = {}


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits of one method, in seconds."""

    retry_delays: tuple[float, ...]
    uncertain_after: float
    throttle: float = THROTTLE_WAIT
    pause: float = PAUSE_WAIT
    scale: float = 1.0
    """Applied already to the fields above; simulated waits of a provider are multiplied by it."""

    def scaled(self, factor: float) -> Waits:
        """All waits multiplied."""
        return replace(
            self,
            retry_delays=tuple(delay * factor for delay in self.retry_delays),
            uncertain_after=self.uncertain_after * factor,
            throttle=self.throttle * factor,
            pause=self.pause * factor,
            scale=self.scale * factor,
        )


class Decision(msgspec.Struct, frozen=True):
    """What to commit: `result` for the queue, `event_type` and reason for the record."""

    result: SendResult
    event_type: str
    reason: ReasonCode | None = None
    text: str = ""
    wait_seconds: float = 0.0


def decide(
    verdict: Verdict, tries: int, waits: Waits, random: Callable[[], float], *, in_doubt: bool = False
) -> Decision:
    """What follows from `verdict` for a message that has used up `tries` retries; `random` gives 0 to 1.

    `in_doubt`: the provider may have it from an earlier attempt.
    """
    answer = verdict.answer
    if answer is Answer.ACCEPTED:
        return Decision("sent", "sent")
    if answer is Answer.REFUSED:
        return _decision("failed", "failed", verdict.reason or ReasonCode.PROVIDER_REFUSED, verdict)
    if answer is Answer.UNCLEAR:
        return _decision("uncertain", "uncertain", ReasonCode.PROVIDER_UNCLEAR, verdict, waits.uncertain_after)
    if answer is Answer.RETRY:
        return _retry(verdict, tries, waits, random, in_doubt=in_doubt)
    if answer is Answer.CONFIGURATION:
        # It waits in its part, which the group's pause keeps back.
        return _decision("throttled", "deferred", ReasonCode.PROVIDER_CONFIGURATION, verdict)
    told = verdict.wait_seconds
    default = waits.pause if answer is Answer.PAUSED else waits.throttle
    wait = default if told is None else told * waits.scale
    reason = ReasonCode.PROVIDER_ACCOUNT if answer is Answer.PAUSED else ReasonCode.PROVIDER_THROTTLED
    return _decision("throttled", "deferred", reason, verdict, wait)


def _retry(verdict: Verdict, tries: int, waits: Waits, random: Callable[[], float], *, in_doubt: bool) -> Decision:
    delay = retry_delay(waits.retry_delays, tries, random)
    if delay is None:
        why = ReasonCode.UNCERTAIN_GIVEN_UP if in_doubt else ReasonCode.RETRIES_EXHAUSTED
        return _decision("failed", "failed", why, verdict)
    return _decision("retry", "deferred", ReasonCode.PROVIDER_UNAVAILABLE, verdict, delay)


def retry_delay(delays: Sequence[float], tries: int, random: Callable[[], float]) -> float | None:
    """Full jitter: any part of the step's delay. None when there are no more steps."""
    if tries >= len(delays):
        return None
    return delays[tries] * random()


def _decision(
    result: SendResult, event_type: str, reason: ReasonCode, verdict: Verdict, wait_seconds: float = 0.0
) -> Decision:
    text = " ".join(verdict.text.split())[:MAX_TEXT] or TEXTS[reason]
    return Decision(result, event_type, reason, text, wait_seconds)


@dataclass(frozen=True, slots=True)
class Policies:
    """What becomes of an uncertain message that no receipt settles: `resend` or `give_up`, by channel."""

    email: str = "resend"
    sms: str = "give_up"

    def choose(self, of_group: str, address: str) -> str:
        """The group's own word, else the channel's."""
        return of_group or (self.email if "@" in address else self.sms)
