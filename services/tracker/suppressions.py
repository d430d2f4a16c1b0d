"""Suppressed addresses: who must not be written to, kept in the record store and cached in the queue for the gate.

The store is written first, then the queue; what happens in between is repeated or found by the next rebuild.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from redis.exceptions import RedisError

from morpheus_kit import ids, logs
from morpheus_kit.addresses import AddressHasher, is_simulated
from morpheus_kit.clock import Clock
from morpheus_kit.errors import MorpheusError
from morpheus_kit.lifecycle import pause as pause_until
from morpheus_kit.queue.scripts import Kind, Queue, SuppressItem
from services.tracker.store.base import StoreDownError
from services.tracker.store.privacy import (
    Erasure,
    PrivacyStore,
    Suppression,
    SuppressionKey,
    SuppressionPlace,
)

log = logs.get_logger(__name__)

EVERY_STREAM: Final = ""
MANUAL: Final = "manual"
_KINDS: Final[dict[str, Kind]] = {"bounce": "bounce", "complaint": "complaint", "unsubscribe": "unsubscribe"}
_BATCH: Final = 400
_CHECK_SECONDS: Final = 2.0
_FIRST_PAUSE, _LAST_PAUSE = 0.2, 5.0


class Suppressions:
    """The lists of every company; `main` keeps the queue's copy whole."""

    def __init__(self, store: PrivacyStore, queues: Sequence[Queue], hasher: AddressHasher, clock: Clock) -> None:
        """`queues` are all partitions."""
        self._store = store
        self._queues = queues
        self._hasher = hasher
        self._clock = clock

    async def add(self, company: str, address: str, *, stream: str = EVERY_STREAM, reason: str) -> bool:
        """Lets nothing more go to `address`, in `stream` or at all; whether that is new.

        `reason` is bounce, complaint, unsubscribe, or any other text: by hand. Simulator addresses stay as they
        are. StoreDownError, UnavailableError; it may be called again.
        """
        if is_simulated(address):
            return False
        (new,) = await self._add(company, [self._row(company, address, stream, reason)])
        return new

    async def add_recipient(
        self, company: str, recipient: bytes, address: str | None, *, stream: str, reason: str
    ) -> bool:
        """The same by the address's hash, where the address itself may not be known."""
        row = Suppression(company, stream, recipient, reason, self._clock.now_ms(), address)
        (new,) = await self._add(company, [row])
        return new

    async def remove(self, company: str, address: str, *, stream: str = EVERY_STREAM) -> int:
        """Lets messages go to `address` again, in `stream` or at all; how many entries there were."""
        recipient = self._hasher.hash(company, address)
        streams = await self._store.remove_suppressions(company, recipient, stream)
        # Also what only the queue has: a removal whose second half was lost is made good by asking again.
        off = [SuppressItem(each, recipient, "") for each in {*streams, stream}]
        await self._queue(company).suppress(company, off)
        return len(streams)

    async def page(self, company: str, address: str, after: SuppressionPlace | None, limit: int) -> list[Suppression]:
        """Newest first; `address` empty: of everybody. StoreDownError."""
        recipient = self._hasher.hash(company, address) if address else None
        return await self._store.suppressions(company, recipient, after, limit)

    async def find(self, company: str, address: str, stream: str) -> Suppression | None:
        """The entry of one list, or None. StoreDownError."""
        found = await self.page(company, address, None, _BATCH)
        return next((each for each in found if each.stream == stream), None)

    async def follow(self, unwelcome: Sequence[str]) -> None:
        """After a write that ended so: hard bounces and complaints suppress every stream, an opt-out its own."""
        found = await self._store.unwanted(unwelcome) if unwelcome else []
        by_company: dict[str, list[Suppression]] = {}
        for each in found:
            if is_simulated(each.address):
                continue
            rows = by_company.setdefault(each.company, [])
            for kind in each.kinds:
                stream = each.stream if kind == "unsubscribe" else EVERY_STREAM
                rows.append(self._row(each.company, each.address, stream, kind))
        for company, rows in by_company.items():
            for start in range(0, len(rows), _BATCH):
                await self._add(company, rows[start : start + _BATCH])

    async def rebuild(self) -> None:
        """Makes the queue's lists what the store's are, and opens the gate. StoreDownError, UnavailableError."""
        after: SuppressionKey | None = None
        while rows := await self._store.all_suppressions(after, _BATCH):
            by_company: dict[str, list[Suppression]] = {}
            for row in rows:
                by_company.setdefault(row.company, []).append(row)
            for company, of_company in by_company.items():
                await self._put(company, of_company)
            after = SuppressionKey(*rows[-1][:3])
        await self._mark_erased()
        for queue in self._queues:
            await self._drop_stale(queue)
            await queue.suppressions_known()

    async def main(self, stopping: asyncio.Event) -> None:
        """Rebuilds at the start, and whenever Redis has lost its lists."""
        whole, pause = False, _FIRST_PAUSE
        while not stopping.is_set():
            try:
                if not whole or not all([await queue.knows_suppressions() for queue in self._queues]):
                    whole = False
                    await self.rebuild()
                    log.info("suppressions_rebuilt")
                whole, pause = True, _FIRST_PAUSE
                await pause_until(stopping, _CHECK_SECONDS)
            except (RedisError, StoreDownError, MorpheusError, OSError, TimeoutError) as exc:
                log.warning("suppressions_wait", error=repr(exc), seconds=pause)
                await pause_until(stopping, pause)
                pause = min(pause * 2, _LAST_PAUSE)

    def _row(self, company: str, address: str, stream: str, reason: str) -> Suppression:
        recipient = self._hasher.hash(company, address)
        return Suppression(company, stream, recipient, reason, self._clock.now_ms(), address)

    async def _add(self, company: str, rows: Sequence[Suppression]) -> list[bool]:
        new = await self._store.add_suppressions(rows)
        await self._put(company, rows)
        return new

    async def _put(self, company: str, rows: Iterable[Suppression]) -> None:
        items = [SuppressItem(row.stream, row.recipient, _KINDS.get(row.reason, "manual")) for row in rows]
        await self._queue(company).suppress(company, items)

    async def _mark_erased(self) -> None:
        """The gate opens with what it must know of erased persons too."""
        after: Erasure | None = None
        while rows := await self._store.erasures(after, _BATCH):
            for company in {row.company for row in rows}:
                marks = [(row.recipient, row.time_ms) for row in rows if row.company == company]
                await self._queue(company).mark_erased(company, marks)
            after = rows[-1]

    async def _drop_stale(self, queue: Queue) -> None:
        """What the store does not have; asked for again afterwards, in case that it was added just then."""
        for company, stream in await queue.suppression_lists():
            cursor = -1
            while cursor:
                cursor, found = await queue.suppressed(company, stream, max(cursor, 0))
                stale = set(found) - await self._store.known_suppressions(company, stream, found)
                await queue.suppress(company, [SuppressItem(stream, each, "") for each in stale])
                back = await self._store.known_suppressions(company, stream, list(stale)) if stale else set()
                await queue.suppress(company, [SuppressItem(stream, each, MANUAL) for each in back])

    def _queue(self, company: str) -> Queue:
        return self._queues[ids.partition_of(company, len(self._queues))]
