"""Ends a worker that is stuck."""

from __future__ import annotations

import asyncio
import contextlib

from services.renderer import frames
from services.renderer.frames import Progress
from services.renderer.stack_dump import SIGNAL, StackDump

START_SECONDS = 30.0
ASK_SECONDS, LOOK_SECONDS = 0.5, 0.01


class Watch:
    """Kills a process that shows no progress for `timeout` seconds while somebody waits for it.

    Before that it is asked where it is; `dump` has the answer. Time in which the whole machine stood still, as one
    that is moved or out of breath does, is not counted: looks come late then.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, progress: Progress, dump: StackDump, timeout: float
    ) -> None:
        self._process = process
        self._progress = progress
        self._dump = dump
        self._timeout = timeout
        self._asked_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._seen = (0, 0)
        self._since = self._due = 0.0
        self.expired = False

    def __enter__(self) -> None:
        self._begin(self._progress.read())
        self._arm(self._timeout / 4)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self, seen: tuple[int, int]) -> None:
        """What `seen` stands for has its whole time before it."""
        self._seen, self._since = seen, asyncio.get_running_loop().time()
        if self._asked_at is not None:
            self._asked_at = None
            self._dump.clear()

    def _arm(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        now, seen = asyncio.get_running_loop().time(), self._progress.read()
        self._since += max(0.0, now - self._due)
        if seen != self._seen:
            self._begin(seen)
        elif self._asked_at is not None and (self._dump.place() or now - self._asked_at >= ASK_SECONDS):
            self.expired = True
            kill(self._process)
            return
        elif now - self._since >= (START_SECONDS if seen[0] == frames.LOADING else self._timeout):
            self._ask(now)
        self._arm(self._timeout / 4 if self._asked_at is None else LOOK_SECONDS)

    def _ask(self, now: float) -> None:
        """Again and again: between two pieces of its output a template is not at work."""
        if self._asked_at is None:
            self._asked_at = now
            self._dump.clear()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(SIGNAL)


def kill(process: asyncio.subprocess.Process) -> None:
    """At once; nothing when it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
