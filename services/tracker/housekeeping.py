"""What is done to the records now and then, by every tracker: each chore may be done at any time, and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from morpheus_kit import logs
from morpheus_kit.errors import MorpheusError
from morpheus_kit.lifecycle import pause
from services.tracker.store.base import RecordStore, StoreDownError

log = logs.get_logger(__name__)

_EVERY_SECONDS: Final = 60.0
_STEP: Final = 500
_MOST_STEPS: Final = 100


class Keeping:
    """The chore that deletes what is not kept any more, in bounded steps."""

    def __init__(self, store: RecordStore) -> None:
        """`store` knows how long."""
        self._store = store
        self._untidy = False

    async def step(self) -> None:
        """As much as leaves the store time for others; the rest the next time. At the end the files are cleaned."""
        for number in range(_MOST_STEPS):
            if not await self._store.drop_over(_STEP):
                self._untidy = self._untidy or number > 0
                break
        else:
            self._untidy = True
            return
        if self._untidy:
            await self._store.tidy()
            self._untidy = False


class Housekeeping:
    """Chores by name; `main` is its life."""

    def __init__(self, chores: Mapping[str, Callable[[], Awaitable[None]]], every: float = _EVERY_SECONDS) -> None:
        """`every` is in seconds."""
        self._chores = chores
        self._every = every

    async def main(self, stopping: asyncio.Event) -> None:
        """Does all, waits, does all again, until `stopping`."""
        while not stopping.is_set():
            await self.step()
            await pause(stopping, self._every)

    async def step(self) -> None:
        """Each chore once; one that fails is done the next time."""
        for name, chore in self._chores.items():
            try:
                await chore()
            except (StoreDownError, MorpheusError) as exc:
                log.warning("chore_failed", chore=name, error=repr(exc))
