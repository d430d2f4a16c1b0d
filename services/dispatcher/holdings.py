"""What this process holds from the queue, and the renewal of its leases."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from morpheus_kit import logs
from morpheus_kit.errors import UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.runner import MAX_ITEMS
from services.dispatcher.slices import Source

log = logs.get_logger(__name__)


class Holdings:
    """Entries by stream. An entry that is not renewed is taken over by another sender after the lease."""

    def __init__(self, lease_seconds: float) -> None:
        self._interval = lease_seconds / 3
        self._entries: defaultdict[Source, set[str]] = defaultdict(set)

    def add(self, source: Source, entries: Iterable[str]) -> None:
        """We took these."""
        self._entries[source].update(entries)

    def drop(self, source: Source, entries: Iterable[str]) -> None:
        """We have nothing to do with these any more."""
        held = self._entries[source]
        held.difference_update(entries)
        if not held:
            # Recovery changes its name with each failure: what is empty would add up.
            del self._entries[source]

    async def run(self, stopping: asyncio.Event) -> None:
        """Renews each third of the lease. It is a task of this loop on purpose: it stops when the loop does."""
        while not stopping.is_set():
            await pause(stopping, self._interval)
            try:
                await self.renew()
            except UnavailableError as exc:
                log.warning("renewal_failed", error=exc.message)

    async def renew(self) -> None:
        """Renews everything; what has a new owner is dropped."""
        for source, held in list(self._entries.items()):
            entries = sorted(held)
            for start in range(0, len(entries), MAX_ITEMS):
                asked = entries[start : start + MAX_ITEMS]
                kept = await source.queue.renew(*source.stream, asked)
                lost = held.intersection(asked).difference(kept)
                held.difference_update(lost)
                if lost:
                    log.warning("leases_lost", method=source.route.method, priority=source.priority, entries=len(lost))
