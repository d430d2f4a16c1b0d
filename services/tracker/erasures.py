"""Erasing a person of a company: first it is noted, then one store after the other is emptied of them.

The note is what makes it complete. Nothing that was accepted before passes the gate any more, and a record that comes
later is emptied as soon as it is written: whoever writes a record looks for the note afterwards, and whoever erases
looks for records after writing it, so one of them finds it. A repeat finishes what broke off.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from morpheus_kit import ids, logs
from morpheus_kit.addresses import AddressHasher, spellings
from morpheus_kit.clock import Clock
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import unpack_message
from morpheus_kit.queue.scripts import Queue, Waiting
from morpheus_kit.retention import DAY_S, KEPT_A_YEAR, Retention
from services.tracker.letters import Letters
from services.tracker.outbox import Outbox
from services.tracker.store.base import StoreDownError
from services.tracker.store.privacy import Erasure, PrivacyStore

log = logs.get_logger(__name__)

STORES: Final = ("records", "outbox", "queue", "later", "dead_letters", "suppressions")
_PAGE: Final = 500
_MONTH_S: Final = 31 * DAY_S
_TIDY_SECONDS: Final = 20.0
_LATELY_MS: Final = 3_600_000
"""How long after an erasure the queue is looked through again: what was at a provider at that moment may come back."""


class _Person(NamedTuple):
    """Whose messages of a company are meant: keyed hashes, each with when it was erased."""

    company: str
    erased_ms: Mapping[bytes, int]


class Erasures:
    """Of every company."""

    def __init__(
        self,
        store: PrivacyStore,
        queues: Sequence[Queue],
        hasher: AddressHasher,
        outbox: Outbox,
        clock: Clock,
        retention: Retention = KEPT_A_YEAR,
    ) -> None:
        """`queues` are all partitions. When all records of before have gone, the note of an erasure goes too."""
        self._store = store
        self._queues = queues
        self._hasher = hasher
        self._outbox = outbox
        self._letters = Letters(store, hasher)
        self._clock = clock
        self._untidy = False
        self._kept_ms = round((retention.longest_s + _MONTH_S) * 1000)

    async def erase(self, company: str, address: str) -> dict[str, int]:
        """Out of all stores; how many things of each. StoreDownError, UnavailableError: call it again."""
        recipient, now = self._hasher.hash(company, address), self._clock.now_ms()
        queue = self._queue(company)
        await self._store.add_erasure(Erasure(company, recipient, now))
        await queue.mark_erased(company, [(recipient, now)])
        person = _Person(company, {recipient: now})
        counts = Counter(dict.fromkeys(STORES, 0))
        counts.update(await self._sweep(queue, person))
        counts.update(await self._erase_records(company, spellings(address)))
        counts["dead_letters"] += await self._letters.erase(queue, company, person.erased_ms)
        counts["suppressions"] += await self._store.forget_address(company, recipient)
        self._untidy = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_TIDY_SECONDS):
                await self.tidy()
        log.info("person_erased", company=company, **counts)
        return dict(counts)

    async def follow(self, queue: Queue, outcome: Outcome) -> None:
        """After `outcome` was written: empties what is an erased person's. StoreDownError, UnavailableError."""
        by_company: dict[str, list[tuple[str, bytes]]] = {}
        for record in outcome.messages:
            by_company.setdefault(record.company_code, []).append((record.reference, record.blob))
        for company, records in by_company.items():
            if await queue.has_erased(company):
                await self._follow(queue, company, records)

    async def sweep(self) -> None:
        """Looks through the queue again for those who were erased lately. StoreDownError, UnavailableError."""
        await self._forget_old()
        since = self._clock.now_ms() - _LATELY_MS
        lately: dict[str, dict[bytes, int]] = {}
        async for erasure in self._all():
            if erasure.time_ms >= since:
                lately.setdefault(erasure.company, {})[erasure.recipient] = erasure.time_ms
        for company, erased_ms in lately.items():
            queue = self._queue(company)
            await self._sweep(queue, _Person(company, erased_ms))
            await self._letters.erase(queue, company, erased_ms)

    async def _forget_old(self) -> None:
        """The store last: what it does not have any more is never taken out of the queue."""
        before = self._clock.now_ms() - self._kept_ms
        async for old in self._all():
            if old.time_ms < before:
                await self._queue(old.company).forget_erased(old.company, [old.recipient])
        while await self._store.drop_erasures(before, _PAGE):
            pass

    async def tidy(self) -> None:
        """Lets store and queue clean their files after erasures. StoreDownError."""
        if self._untidy:
            await self._store.tidy()
            # All partitions are in one Redis, or in a cluster whose operators write its files anew.
            if not await self._queues[0].rewrite_file():
                log.warning("queue_file_not_rewritten")
            self._untidy = False

    async def _follow(self, queue: Queue, company: str, records: Sequence[tuple[str, bytes]]) -> None:
        recipients = {reference: _recipient(self._hasher, company, blob) for reference, blob in records}
        erased_ms = await queue.erased(company, list({hash_ for hash_, _ in recipients.values()}))
        late = [
            reference
            for reference, (hash_, accepted_ms) in recipients.items()
            if accepted_ms <= erased_ms.get(hash_, -1)
        ]
        for start in range(0, len(late), _PAGE):
            await self._empty(company, late[start : start + _PAGE])
        for hash_ in {recipients[reference][0] for reference in late}:
            await self._store.forget_address(company, hash_)

    async def _erase_records(self, company: str, addresses: Sequence[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        idle = 0
        while references := await self._store.messages_to(company, addresses, _PAGE):
            found = await self._empty(company, references)
            counts.update(found)
            idle = 0 if found["records"] else idle + 1
            if idle == 3:
                raise StoreDownError("records of an erased person come back")
        return counts

    async def _empty(self, company: str, references: Sequence[str]) -> Counter[str]:
        """The outbox first: only as long as the records are there it is known which of its files are meant."""
        files = await self._outbox.remove([reference[-36:] for reference in references])
        records = await self._store.erase(company, references)
        self._untidy = self._untidy or records > 0
        return Counter(records=records, outbox=files)

    async def _sweep(self, queue: Queue, person: _Person) -> Counter[str]:
        """What waits ends here; a sender that holds one meets the note at the gate."""
        counts: Counter[str] = Counter()
        for name, pages in (("queue", queue.waiting(person.company)), ("later", queue.put_off(person.company))):
            async for page in pages:
                found = await asyncio.to_thread(self._of, person, page)
                counts[name] += await queue.erase_waiting(found)
        return counts

    def _of(self, person: _Person, page: Sequence[Waiting]) -> list[Waiting]:
        found = []
        for each in page:
            hash_, accepted_ms = _recipient(self._hasher, person.company, each.element.blob)
            if accepted_ms <= person.erased_ms.get(hash_, -1):
                found.append(each)
        return found

    async def _all(self) -> AsyncIterator[Erasure]:
        after: Erasure | None = None
        while rows := await self._store.erasures(after, _PAGE):
            for row in rows:
                yield row
            after = rows[-1]

    def _queue(self, company: str) -> Queue:
        return self._queues[ids.partition_of(company, len(self._queues))]


def _recipient(hasher: AddressHasher, company: str, blob: bytes) -> tuple[bytes, int]:
    """Keyed hash of a message's address, and when it was accepted; of what is no message nobody's."""
    try:
        message = unpack_message(blob)
    except ValueError:
        return b"", 0
    return hasher.hash(company, message.address), message.accepted_at_ms
