"""Reads the `outcomes` stream of one partition into the record store.

An entry leaves the stream only after the store has committed it. What can never be decoded or written
goes to `dead`, of a message with a stripped record in its place; what a newer release wrote is left for it;
everything else goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from redis.exceptions import RedisError, ResponseError

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import MorpheusError, UnavailableError
from morpheus_kit.lifecycle import pause as pause_until
from morpheus_kit.queue.keys import TRACKERS
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.runner import MAX_ITEMS
from morpheus_kit.queue.schema import NewerVersionError
from morpheus_kit.queue.scripts import Queue
from services.tracker.entries import Decoded, Entry, Fields, batches, decode, entries_of, merge, time_ms
from services.tracker.erasures import Erasures
from services.tracker.poison import letter_of, letter_of_record, pieces, strip
from services.tracker.store.base import RecordStore, StoreDownError
from services.tracker.suppressions import Suppressions

log = logs.get_logger(__name__)

_READ: Final = 50
_BLOCK_MS: Final = 250
_GATHER_SECONDS: Final = 0.25
_IDLE_MS: Final = 60_000
_CLAIM_EVERY: Final = 10.0
_FIRST_PAUSE, _LAST_PAUSE = 0.2, 5.0
_BEGINNING, _NEW = "0-0", ">"
_MOST_REFUSED: Final = 100
_PASSING: Final = (StoreDownError, UnavailableError, RedisError)


class Consumer:
    """The reader of one partition; `main` is its life."""

    def __init__(
        self,
        queue: Queue,
        store: RecordStore,
        suppressions: Suppressions,
        erasures: Erasures,
        clock: Clock,
        name: str,
    ) -> None:
        """`queue` is the partition; `name` tells this consumer from those of other processes."""
        self._queue = queue
        self._redis = queue.redis
        self._keys = queue.keys
        self._store = store
        self._suppressions = suppressions
        self._erasures = erasures
        self._clock = clock
        self._name = name
        self._claim_at = 0.0
        self._after: bytes | str = _BEGINNING
        self._refused = 0
        self._cursor: bytes | str = "0-0"
        self._idle_ms = 0 if store.exclusive else _IDLE_MS
        self._written: deque[tuple[int, int]] = deque([(0, 0)])
        """When it was seen that all that was in the stream at a time is in the store, and that time."""

    @property
    def recorded_ms(self) -> int:
        """Everything that was in the stream at this time is in the answers of the store."""
        self._forget_earlier(self._clock.now_ms() - self._store.lag_ms)
        return self._written[0][1]

    async def main(self, stopping: asyncio.Event) -> None:
        """Reads until `stopping`; while Redis or the store is away it waits and tries again."""
        pause = _FIRST_PAUSE
        prepared = False
        while not stopping.is_set():
            try:
                if not prepared:
                    await self._queue.prepare()
                    prepared = True
                await self.step()
                pause = _FIRST_PAUSE
            except (RedisError, StoreDownError, MorpheusError, OSError, TimeoutError) as exc:
                log.warning("outcomes_wait", partition=self._keys.partition, error=repr(exc), seconds=pause)
                prepared = prepared and not isinstance(exc, ResponseError)
                self._after = _BEGINNING
                await pause_until(stopping, pause)
                pause = min(pause * 2, _LAST_PAUSE)
        await self._leave()

    async def step(self) -> int:
        """One read; how many entries it gave."""
        entries = await self._claim() or await self._read()
        if entries:
            await self.record(entries)
        await self._note_written()
        return len(entries)

    async def _note_written(self) -> None:
        """What is written leaves the stream, whichever tracker wrote it: all before the first entry is in the store."""
        now = self._clock.now_ms()
        first = await self._redis.xrange(self._keys.outcomes, count=1)
        self._written.append((now, min(now, time_ms(first[0][0]) - 1) if first else now))
        self._forget_earlier(now - self._store.lag_ms)

    def _forget_earlier(self, visible_ms: int) -> None:
        while len(self._written) > 1 and self._written[1][0] <= visible_ms:
            self._written.popleft()

    async def record(self, entries: Sequence[Entry]) -> None:
        """Writes and acknowledges `entries`. Raises StoreDownError with those unacknowledged that were not written."""
        for batch in batches(entries):
            decoded = await asyncio.to_thread(decode, batch)
            good = [item for item in decoded if isinstance(item, Decoded)]
            for item in decoded:
                if not isinstance(item, Decoded):
                    await self._refuse(*item)
            if good:
                await self._write(good)

    async def _write(self, items: Sequence[Decoded]) -> None:
        outcome = merge(items)
        try:
            refused, unwelcome = await self._store.write(outcome)
        except StoreDownError:
            raise
        except Exception as exc:  # noqa: BLE001  one entry that the store can never take must not stop the others
            await (self._take_apart(items[0], exc) if len(items) == 1 else self._write_each(items))
            return
        if len(refused) > MAX_ITEMS and len(items) > 1:
            await self._write_each(items)  # the store tells of them again
            return
        self._count(len(refused), all_of_it=bool(refused) and len(refused) == len(outcome.messages))
        await self._suppressions.follow(unwelcome)
        await self._erasures.follow(self._queue, outcome)
        await self._end([item.entry_id for item in items], [letter_of_record(refusal) for refusal in refused])

    async def _write_each(self, items: Sequence[Decoded]) -> None:
        for item in items:
            await self._write([item])

    async def _take_apart(self, item: Decoded, error: Exception) -> None:
        """Each group and message of an entry alone; of those that are refused, what can be kept."""
        if self._is_newer(item.entry_id, error):
            return
        self._count(1, all_of_it=True)
        letters = []
        for piece in pieces(item.outcome):
            try:
                refused, unwelcome = await self._store.write(piece)
                await self._suppressions.follow(unwelcome)
                await self._erasures.follow(self._queue, piece)
            except _PASSING:
                raise
            except Exception as exc:  # noqa: BLE001  as above
                if self._is_newer(item.entry_id, exc):
                    return
                letters.append(letter_of(piece, repr(exc), item.entry_id))
                await self._write_stripped(piece, exc)
            else:
                letters += [letter_of_record(refusal) for refusal in refused]
        await self._end([item.entry_id], letters)

    async def _write_stripped(self, piece: Outcome, error: Exception) -> None:
        if piece.groups or piece.group_events:
            return
        try:
            _, unwelcome = await self._store.write(strip(piece, repr(error)))
            await self._suppressions.follow(unwelcome)
        except _PASSING:
            raise
        except Exception as exc:  # noqa: BLE001  what was said of it is in `dead`, nothing more can be done
            log.error("stripped_record_refused", partition=self._keys.partition, error=repr(exc))  # noqa: TRY400  a trace shows contents

    async def _read(self) -> list[Entry]:
        """First, at the start and after each failure, what this consumer was given and has not finished.

        Of what is new it waits a moment for more: one write of many costs a fraction of many of few,
        and a message's receipts then come with its record.
        """
        entries = await self._read_once(_READ, _BLOCK_MS)
        if self._after != _NEW:
            self._after = entries[-1][0] if entries else _NEW
        elif entries and len(entries) < _READ:
            await asyncio.sleep(_GATHER_SECONDS)
            entries += await self._read_once(_READ - len(entries), None)
        return [(entry_id, fields) for entry_id, fields in entries if fields]

    async def _read_once(self, count: int, block_ms: int | None) -> list[Entry]:
        streams = {self._keys.outcomes: self._after}
        answer = await self._redis.xreadgroup(TRACKERS, self._name, streams, count=count, block=block_ms)
        return entries_of(answer)

    async def _claim(self) -> list[Entry]:
        """What a consumer that went away has left unfinished; looked for now and then."""
        if self._clock.monotonic() < self._claim_at:
            return []
        answer = await self._redis.xautoclaim(
            self._keys.outcomes, TRACKERS, self._name, min_idle_time=self._idle_ms, start_id=self._cursor, count=_READ
        )
        self._cursor = answer[0]
        if self._cursor in {b"0-0", "0-0"}:
            self._idle_ms = _IDLE_MS
            self._claim_at = self._clock.monotonic() + _CLAIM_EVERY
        return [(entry_id, fields) for entry_id, fields in answer[1] if fields]

    async def _refuse(self, entry_id: bytes, fields: Fields, error: Exception) -> None:
        """An entry that cannot be decoded."""
        if self._is_newer(entry_id, error):
            return
        self._count(1, all_of_it=True)
        letter = {**fields, b"kind": b"outcome", b"reason": repr(error).encode(), b"entry": entry_id}
        await self._end([entry_id], [letter])

    def _is_newer(self, entry_id: bytes, error: Exception) -> bool:
        if not isinstance(error, NewerVersionError):
            return False
        log.warning("outcome_is_newer", partition=self._keys.partition, entry=entry_id.decode(), error=repr(error))
        return True

    def _count(self, refused: int, *, all_of_it: bool) -> None:
        """Too many in a row say that the fault is not theirs: no bad release may bin a whole campaign."""
        self._refused = self._refused + refused if all_of_it else 0
        if self._refused > _MOST_REFUSED:
            raise StoreDownError(f"{_MOST_REFUSED} records in a row were refused; the fault is not theirs")

    async def _end(self, entry_ids: Sequence[bytes], letters: Sequence[Fields]) -> None:
        """These are recorded, or what of them cannot be is in `dead`."""
        for letter in letters:
            reason = letter[b"reason"].decode()
            log.error("outcome_is_dead", partition=self._keys.partition, kind=letter[b"kind"].decode(), reason=reason)
        if letters:
            await self._queue.bury_outcomes(entry_ids, letters)
        else:
            await self._queue.ack_outcomes(entry_ids)

    async def _leave(self) -> None:
        """A consumer is deleted only when it has nothing pending, else what it holds would be lost."""
        try:
            pending = await self._redis.xpending_range(
                self._keys.outcomes, TRACKERS, min="-", max="+", count=1, consumername=self._name
            )
            if not pending:
                await self._redis.xgroup_delconsumer(self._keys.outcomes, TRACKERS, self._name)
        except (RedisError, OSError, TimeoutError) as exc:
            log.warning("consumer_not_deleted", partition=self._keys.partition, error=repr(exc))
