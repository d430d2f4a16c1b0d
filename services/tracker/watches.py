"""Groups that are watched: one question serves all watchers of a group in this process, and there is a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, TypeAlias

from morpheus_kit.clock import Clock
from morpheus_kit.errors import MorpheusError, ThrottledError
from services.tracker.groups import GroupView

EVERY_SECONDS: Final = 0.5

Ask: TypeAlias = Callable[[str, str], Awaitable[GroupView]]


class _Watched:
    """One group: its last answer, good for as long as a watcher waits between two."""

    def __init__(self, ask: Callable[[], Awaitable[GroupView]], clock: Clock) -> None:
        self.watchers = 0
        self._ask = ask
        self._clock = clock
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._answer: GroupView | MorpheusError | None = None

    async def view(self) -> GroupView:
        """Asked by the first who finds it too old; the others wait for the same answer, a refusal too."""
        async with self._lock:
            if self._answer is None or self._clock.monotonic() - self._asked_at >= EVERY_SECONDS:
                try:
                    self._answer = await self._ask()
                except MorpheusError as exc:
                    self._answer = exc
                self._asked_at = self._clock.monotonic()
        if isinstance(self._answer, MorpheusError):
            raise self._answer
        return self._answer


class Watches:
    """All watchers of this process."""

    def __init__(
        self, ask: Ask, clock: Clock, most: int, wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """`ask(company, group_id)` gives a group; `most` watchers are served at once; `wait` is for seconds."""
        self._ask = ask
        self._clock = clock
        self._most = most
        self._wait = wait
        self._watchers = 0
        self._watched: dict[tuple[str, str], _Watched] = {}

    async def watch(self, company: str, group_id: str) -> AsyncGenerator[GroupView, None]:
        """The group now and after each change, at most twice a second, until it is finished.

        NotFoundError; ThrottledError where there are too many watchers already.
        """
        watched = self._enter(company, group_id)
        try:
            last: tuple[object, ...] = ()
            while True:
                view = await watched.view()
                facts = (view.control, view.reason, view.progress, view.counts, view.parts_in, view.operations)
                if facts != last:
                    last = facts
                    yield view
                if view.control == "finished":
                    return
                await self._wait(EVERY_SECONDS)
        finally:
            self._leave(company, group_id)

    def _enter(self, company: str, group_id: str) -> _Watched:
        if self._watchers >= self._most:
            raise ThrottledError(
                f"{self._most} watchers of groups are served already, which is the most; ask for the group instead, or "
                "watch it later.",
                retry_after=1,
            )
        watched = self._watched.get((company, group_id))
        if watched is None:
            watched = self._watched[company, group_id] = _Watched(lambda: self._ask(company, group_id), self._clock)
        self._watchers += 1
        watched.watchers += 1
        return watched

    def _leave(self, company: str, group_id: str) -> None:
        self._watchers -= 1
        watched = self._watched[company, group_id]
        watched.watchers -= 1
        if not watched.watchers:
            del self._watched[company, group_id]
