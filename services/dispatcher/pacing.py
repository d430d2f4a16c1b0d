"""The pace of the provider in front of the gate: tokens before, what became of them after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from morpheus_kit import logs
from morpheus_kit.errors import UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.pacing import Tokens, Told
from services.dispatcher.slices import Slice
from services.dispatcher.verdicts import Answer, Verdict, Waits

log = logs.get_logger(__name__)
# A longer wait is left to the queue, where pause, cancel and another provider reach the messages.
_SHORT_SECONDS = 2.0
# How often a resting account is asked again.
LOOK_SECONDS = 5.0
_AWAY_MS = 500
_FAILED = frozenset([Answer.RETRY, Answer.UNCLEAR])


async def ask(ctx: Slice, wanted: int) -> Tokens:
    """Tokens for up to `wanted` messages of this slice."""
    pace = ctx.route.outlet.pace
    if pace is None:
        return Tokens(wanted, 0, watched=False)
    try:
        return await pace.ask(ctx.source.consumer, wanted)
    except UnavailableError as exc:
        log.warning("pace_waits", part=ctx.part, error=exc.message)
        return Tokens(0, _AWAY_MS, watched=False)


def rest(ctx: Slice, seconds: float) -> None:
    """The account is told to rest; this process looks now and then whether it still does, for others may lift that."""
    ctx.route.rest(min(seconds, LOOK_SECONDS) if ctx.route.outlet.pace else seconds)


async def wait(ctx: Slice, wait_ms: int, stopping: asyncio.Event) -> bool:
    """Waits when it is short. False: what is held should go back, the provider rests."""
    seconds = wait_ms / 1000
    if seconds > _SHORT_SECONDS:
        rest(ctx, seconds)
        log.info("provider_rests", provider=ctx.route.provider.name, seconds=seconds)
        return False
    await pause(stopping, seconds)
    return True


async def tell(ctx: Slice, verdicts: Sequence[Verdict], *, watched: bool) -> None:
    """What became of the messages, where it matters to others. What cannot be told is not: the next ones tell."""
    pace = ctx.route.outlet.pace
    ctx.route.outlet.sent += sum(each.answer is Answer.ACCEPTED for each in verdicts)
    told = summary(verdicts, ctx.route.waits)
    if pace is None or not (watched or told.failed or told.throttled_ms or told.rest_ms):
        return
    try:
        await pace.tell(ctx.source.consumer, told)
    except UnavailableError as exc:
        log.warning("pace_not_told", provider=ctx.route.provider.name, error=exc.message)


def summary(verdicts: Sequence[Verdict], waits: Waits) -> Told:
    """What the verdicts of one batch say about the account."""
    throttled = [_ms(each, waits.throttle) for each in verdicts if each.answer is Answer.THROTTLED]
    resting = [_ms(each, waits.pause) for each in verdicts if each.answer is Answer.PAUSED]
    failed = sum(each.answer in _FAILED for each in verdicts)
    words = next((each.text for each in verdicts if each.answer in _FAILED or each.answer is Answer.PAUSED), "")
    return Told(
        taken=len(verdicts) - failed - len(throttled) - len(resting),
        failed=failed,
        throttled_ms=max(throttled, default=0),
        rest_ms=max(resting, default=0),
        words=words,
    )


def _ms(verdict: Verdict, default: float) -> int:
    seconds = default if verdict.wait_seconds is None else verdict.wait_seconds
    return round(seconds * 1000)
