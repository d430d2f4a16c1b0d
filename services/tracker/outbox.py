"""The folder into which method `test` delivers, where this service can see it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from services.tracker.store.base import StoreDownError

_SUFFIXES = (".eml", ".txt")


class Outbox:
    """Takes messages out of it."""

    def __init__(self, folder: str) -> None:
        """Empty: there is none."""
        self._folder = Path(folder) if folder else None

    async def remove(self, message_ids: Sequence[str]) -> int:
        """How many files there were. StoreDownError when one cannot be removed."""
        if self._folder is None:
            return 0
        async with asyncio.timeout(60):
            return await asyncio.to_thread(_remove, self._folder, message_ids)


def _remove(folder: Path, message_ids: Sequence[str]) -> int:
    removed = 0
    for message_id in message_ids:
        for suffix in _SUFFIXES:
            try:
                (folder / f"{message_id}{suffix}").unlink()
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise StoreDownError(f"outbox: {exc.strerror}") from exc
            removed += 1
    return removed
