"""The timer: moves due retries, uncertain messages and parts. Every dispatcher has one; the script lets one win."""

from __future__ import annotations

import asyncio

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.scripts import Queue
from services.dispatcher.pauses import Wake

log = logs.get_logger(__name__)
_COUNT = 200
_MIN_SECONDS = 0.005
_MAX_SECONDS = 0.5
_ERROR_SECONDS = 1.0


class Timer:
    """The timer of one partition."""

    def __init__(self, queue: Queue, clock: Clock, due: Wake, work: Wake) -> None:
        """`due` is set by whoever puts something off for a short while; `work` when something was moved."""
        self._queue = queue
        self._clock = clock
        self._due = due
        self._work = work

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set():
            try:
                wait = await self.turn()
            except UnavailableError as exc:
                log.warning("timer_waits", error=exc.message)
                await pause(stopping, _ERROR_SECONDS)
                continue
            if wait > 0:
                await self._due.wait(wait)

    async def turn(self) -> float:
        """Moves what is due; seconds until the next turn."""
        result = await self._queue.timer(_COUNT)
        if result.moved:
            self._work.set()
        if result.moved >= _COUNT:
            return 0.0
        if result.next_due_ms is None:
            return _MAX_SECONDS
        return min(max((result.next_due_ms - self._clock.now_ms()) / 1000, _MIN_SECONDS), _MAX_SECONDS)
