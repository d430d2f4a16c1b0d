"""Writes outcomes into Elasticsearch: new documents by `create`, known ones read, folded, and written if unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from morpheus_kit import ids
from morpheus_kit.clock import Clock
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import MessageRecord, SharedInfo
from services.tracker.documents import Head
from services.tracker.fold import Step, steps_of
from services.tracker.store.base import Refusal, StoreDownError, Written
from services.tracker.store.changes import Applied, Change, apply, collect, stripped
from services.tracker.store.elastic_bulk import Action, Address, Stored, read, write
from services.tracker.store.elastic_client import Cluster
from services.tracker.store.elastic_documents import (
    READ_FOR_WRITE,
    Fields,
    bare_fields,
    folded_fields,
    head_for_write,
    record_fields,
    shared_fields,
)
from services.tracker.store.elastic_feed import ElasticFeed
from services.tracker.store.elastic_groups import ROUNDS, Groups
from services.tracker.store.feed_blocks import Entry, entries_of
from services.tracker.store.privacy import SUPPRESSED_STATES

TOGETHER: Final = 1_000
"""Messages of one request."""
_IN_FLIGHT: Final = 3


class Target:
    """One message of a batch on its way into the store."""

    __slots__ = ("address", "change", "error", "looks", "owner", "refusal", "told", "untold", "unwelcome")

    def __init__(self, address: Address, change: Change) -> None:
        self.address = address
        self.change = change
        self.error = change.error
        """Why the store refuses the whole document, for ever."""
        self.refusal: Refusal | None = None
        self.unwelcome = False
        self.owner = ("", "")
        """Company and group; empty until the record has come."""
        self.told: list[Step] = []
        """What the feed was told of it. It is told first, so again when the document cannot be written over."""
        self.untold: list[Step] = []
        self.looks = 0 if change.record is None else -1
        """How often it was looked at before it was written; a record is written without a look at first."""

    def tell(self, applied: Applied | None, old: Head | None, owner: tuple[str, str]) -> None:
        """Notes what the feed is to be told; where another writer came between, at last the state as it is now."""
        self.owner = owner
        self.untold = [] if applied is None else [step for step in applied.steps if step not in self.told]
        known = old if applied is None else applied.head
        if self.told and not self.untold and known is not None and not self.error:
            came_between = self.looks > 0 or self.told[-1].state != known.folded.state
            self.untold = steps_of(self.address.id, known.folded)[-1:] if came_between else []
        self.looks += 1


class ElasticWriter:
    """Folds outcomes into documents; several may do so at once, in any number of processes."""

    def __init__(self, cluster: Cluster, groups: Groups, feed: ElasticFeed, clock: Clock) -> None:
        """`groups` writes the groups, `feed` tells what changed."""
        self._cluster = cluster
        self._groups = groups
        self._feed = feed
        self._clock = clock
        self._in_flight = asyncio.Semaphore(_IN_FLIGHT)
        self._making = asyncio.Lock()

    async def write(self, outcome: Outcome) -> Written:
        """StoreDownError; ValueError for what can never be written."""
        await self._groups.write(outcome.groups, outcome.group_events)
        targets = await self._targets(collect(outcome))
        families = _families(targets)
        shared = await self._groups.shared_of(families)
        orphaned = {uuid: address for uuid, address in families.items() if uuid not in shared}
        if orphaned:
            await self._groups.expect(orphaned)
        await self._write_all(targets, shared)
        for uuid, found in (await self._groups.shared_of(orphaned)).items():
            await self._groups.adopt(orphaned[uuid], found)
        return Written(
            [target.refusal for target in targets if target.refusal is not None],
            [target.change.reference for target in targets if target.unwelcome],
        )

    async def _targets(self, changes: Mapping[str, Change]) -> list[Target]:
        references = {message_id: ids.parse_reference(change.reference) for message_id, change in changes.items()}
        months = {reference.month for reference in references.values()}
        indices = {month: await self._cluster.index(month) for month in months}
        return [
            Target(Address(indices[reference.month], message_id, reference.group_key), changes[message_id])
            for message_id, reference in references.items()
        ]

    async def _write_all(self, targets: Sequence[Target], shared: Mapping[str, SharedInfo]) -> None:
        """Some are made ready while the cluster takes those before them."""

        async def write_some(some: Sequence[Target]) -> None:
            async with self._in_flight:
                await self._write(some, shared)

        parts = [targets[start : start + TOGETHER] for start in range(0, len(targets), TOGETHER)]
        for result in await asyncio.gather(*map(write_some, parts), return_exceptions=True):
            if result is not None:  # only now, when none of them is under way any more
                raise result

    async def _write(self, targets: Sequence[Target], shared: Mapping[str, SharedInfo]) -> None:
        """A record is most likely a message's first word, so it is tried as new without a look."""
        known = [target for target in targets if target.change.record is None]
        for attempt in range(ROUNDS):
            stored = await read(self._cluster, [target.address for target in known], READ_FOR_WRITE)
            async with self._making:
                actions = await asyncio.to_thread(self._actions, targets, stored, shared)
            await self._feed.write(_news(targets), attempt)
            results = await write(self._cluster, actions)
            for target in targets:
                if target.address.id in results.refused:
                    self._refuse(target, results.refused[target.address.id])
            again = results.conflicts | results.refused.keys()
            targets = known = [target for target in targets if target.address.id in again]
            for index in {target.address.month_index for target in targets}:
                await self._cluster.index(index[-7:].replace("-", ""))
            if not targets:
                return
        raise StoreDownError("documents change faster than they can be written")

    def _actions(
        self, targets: Sequence[Target], stored: Mapping[str, Stored], shared: Mapping[str, SharedInfo]
    ) -> list[Action]:
        actions = []
        for target in targets:
            before = stored.get(target.address.id)
            fields = self._fields(target, before, shared)
            if fields:
                actions.append(Action(target.address, fields, before))
        return actions

    def _fields(self, target: Target, before: Stored | None, shared: Mapping[str, SharedInfo]) -> Fields:
        """What is to be written of one document; empty when nothing is new."""
        change = target.change
        old = head_for_write(before.source) if before else None
        applied = self._applied(target, apply(target.address.id, change, old, self._clock.now_ms()))
        now = applied.head if applied is not None else old
        target.unwelcome = now is not None and now.folded.state in SUPPRESSED_STATES
        family = shared.get(_uuid(change.record)) if change.record else None
        orphaned = before is not None and bool(before.source.get("record")) and "company_code" not in before.source
        fields: Fields = {}
        if applied is not None:
            fields = bare_fields(applied.head.folded) if target.error else folded_fields(applied.head.folded)
            if applied.body is not None and change.record is not None:
                fields |= record_fields(change.record, applied)
                target.refusal = applied.refusal
        tags = applied.head.tags if applied is not None else old.tags if old is not None else []
        if family is not None and (orphaned or (applied is not None and applied.body is not None)):
            fields |= shared_fields(family, tags)
        elif family is None and change.record is not None and fields:
            fields["owner"] = [change.record.company_code, change.record.group_id]
        target.tell(applied, old, _owner(change.record, before))
        return fields

    def _applied(self, target: Target, applied: Applied | None) -> Applied | None:
        """Of what the store refuses whole, ids, state and the reason."""
        record = target.change.record
        if not target.error or applied is None or record is None:
            return applied
        head, body, refusal = stripped(record, target.error, self._clock.now_ms())
        head.folded = applied.head.folded
        return Applied(head, body, refusal, applied.steps)

    @staticmethod
    def _refuse(target: Target, reason: str) -> None:
        if target.error or target.change.record is None:
            raise ValueError(f"{target.change.reference}: {reason}")
        target.error = reason


def _news(targets: Iterable[Target]) -> dict[str, list[Entry]]:
    """What the feed is to be told, by company."""
    news: dict[str, list[Entry]] = {}
    for target in targets:
        company, group_id = target.owner
        if company and target.untold:
            news.setdefault(company, []).extend(entries_of(group_id, target.address.id, target.untold))
            target.told += target.untold
    return news


def _owner(record: MessageRecord | None, before: Stored | None) -> tuple[str, str]:
    if record is not None:
        return record.company_code, record.group_id
    source = before.source if before is not None else {}
    company, group_id = source.get("owner") or ("", "")
    return source.get("company_code") or company, source.get("group_id") or group_id


def _families(targets: Sequence[Target]) -> dict[str, Address]:
    """The groups of the records of a batch."""
    families: dict[str, Address] = {}
    for target in targets:
        if target.change.record is not None:
            uuid = _uuid(target.change.record)
            if uuid not in families:
                families[uuid] = Address(target.address.month_index, uuid, target.address.routing)
    return families


def _uuid(record: MessageRecord) -> str:
    return ids.group_uuid(record.company_code, record.group_id)
