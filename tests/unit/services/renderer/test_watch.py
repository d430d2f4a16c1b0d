"""When a worker is killed, and when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.renderer.frames import LOADING, Progress
from services.renderer.stack_dump import StackDump
from services.renderer.watch import ASK_SECONDS, START_SECONDS, Watch

TIMEOUT = 4.0


class Loop:
    """Time that a test moves on, and what is to be called then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.late = 0.0
        self._at = 0.0
        self._call: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Loop:
        self._at, self._call = self.now + seconds, call
        return self

    def cancel(self) -> None:
        self._call = None

    def run_until(self, end: float, each: Callable[[], None] = lambda: None) -> None:
        """Calls what is due; `each` after every look."""
        while self._call is not None and self._at <= end:
            self.now, call, self._call = self._at + self.late, self._call, None
            self.late = 0.0
            call()
            each()
        self.now = max(end, self.now)


class Process:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.asked = 0
        self.killed = False

    def send_signal(self, signal: int) -> None:
        self.asked += 1

    def kill(self) -> None:
        self.killed = True


class Setting:
    """A watched worker."""

    def __init__(self, folder: Path) -> None:
        self.loop, self.process = Loop(), Process()
        self.progress, self.stack = Progress.create(folder / "progress"), folder / "stack"
        self.dump = StackDump(self.stack)
        process: Any = self.process
        self.watch = Watch(process, self.progress, self.dump, TIMEOUT)

    def answer(self) -> None:
        """As a worker that is at a template."""
        if self.process.asked:
            self.stack.write_text('(most recent call first):\n  File "t.html", line 3 in root\n')


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    made = Setting(tmp_path)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made.loop)
    return made


def test_stuck_worker_is_asked_and_killed_when_it_has_answered(setting: Setting) -> None:
    with setting.watch:
        setting.loop.run_until(TIMEOUT - 0.1)
        assert (setting.process.asked, setting.process.killed) == (0, False)
        setting.loop.run_until(TIMEOUT + ASK_SECONDS / 2, setting.answer)
    assert (setting.process.asked, setting.process.killed, setting.watch.expired) == (1, True, True)
    assert setting.dump.place() == "t.html, line 3"


def test_worker_that_does_not_answer_is_killed_soon(setting: Setting) -> None:
    with setting.watch:
        setting.loop.run_until(TIMEOUT + ASK_SECONDS - 0.1)
        assert not setting.process.killed
        setting.loop.run_until(TIMEOUT + ASK_SECONDS + 0.1)
    assert setting.process.killed


def test_worker_that_goes_on_has_its_time_again(setting: Setting) -> None:
    with setting.watch:
        for round_ in range(1, 10):
            setting.loop.run_until(round_ * TIMEOUT * 0.9)
            setting.progress.begin(round_)
    assert (setting.process.asked, setting.process.killed) == (0, False)


@pytest.mark.parametrize("answered", [False, True])
def test_worker_that_goes_on_while_it_is_asked_is_not_killed(setting: Setting, answered: bool) -> None:
    with setting.watch:
        setting.loop.run_until(TIMEOUT)
        assert setting.process.asked == 1
        if answered:
            setting.answer()
        setting.progress.begin(1)
        setting.loop.run_until(2 * TIMEOUT - 0.1)
    assert (setting.process.asked, setting.process.killed) == (1, False)
    assert setting.dump.place() == ""


def test_answer_of_a_wait_that_is_over_does_not_end_the_next(setting: Setting) -> None:
    with setting.watch:
        setting.loop.run_until(TIMEOUT)
        setting.answer()
    with setting.watch:
        setting.loop.run_until(2 * TIMEOUT - 0.1)
        assert not setting.process.killed
        setting.loop.run_until(2 * TIMEOUT + ASK_SECONDS + 0.1, setting.answer)
    assert setting.process.killed


def test_time_in_which_the_machine_stood_still_is_not_the_workers(setting: Setting) -> None:
    with setting.watch:
        setting.loop.run_until(TIMEOUT / 2)
        setting.loop.late = 100
        setting.loop.run_until(TIMEOUT)
        assert setting.loop.now > 100
        assert setting.process.asked == 0
        setting.loop.run_until(setting.loop.now + TIMEOUT + ASK_SECONDS, setting.answer)
    assert setting.process.killed


def test_library_may_take_longer_to_load(setting: Setting) -> None:
    setting.progress.begin(LOADING)
    with setting.watch:
        setting.loop.run_until(START_SECONDS - 0.1)
        assert setting.process.asked == 0
        setting.loop.run_until(START_SECONDS + ASK_SECONDS + 1.1)
    assert setting.process.killed
