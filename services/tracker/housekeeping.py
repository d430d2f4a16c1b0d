"""What is done to the records now and then, by every tracker: each chore may be done at any time, and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from morpheus_kit import logs
from morpheus_kit.errors import MorpheusError
from morpheus_kit.lifecycle import pause
from services.tracker.store.base import StoreDownError

log = logs.get_logger(__name__)

_EVERY_SECONDS: Final = 60.0


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
