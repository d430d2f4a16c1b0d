"""The feed of Elasticsearch: blocks in an index of one shard a week, read in the order of their sequence numbers.

A shard numbers what it takes, but several writers' documents become visible in any order. So a reader asks first up to
which number every copy of the shard has everything (its global checkpoint), then refreshes, and reads only up to there:
what is slower is never passed. A cursor has a place in each week, since a late writer may still add to the last one.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

from morpheus_kit.clock import Clock
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_bulk import Action, Address, read, write
from services.tracker.store.elastic_client import Cluster, answering
from services.tracker.store.elastic_mappings import feed_prefix
from services.tracker.store.elastic_queries import Conditions
from services.tracker.store.feed_blocks import Entry, blocks_of, unpack_block
from services.tracker.store.reports import DAY_MS, FEED_MS, FeedItem

_BLOCKS: Final = 16
_ROUNDS: Final = 5
_CURSOR: Final = re.compile(r"\d{4}\.\d\d-\d{1,18}-\d{1,6}(_\d{4}\.\d\d-\d{1,18}-\d{1,6}){0,9}", re.ASCII)
_ORDER: Final = [{"_index": "asc"}, {"_seq_no": "asc"}]


class Place(NamedTuple):
    """Where a reader goes on in a week: the first block not read to its end, and how much of it was read."""

    seq_no: int = 0
    read: int = 0


class Extent(NamedTuple):
    """What a week's shard has: up to `complete` everything that any writer was told to be written."""

    complete: int
    newest: int


class ElasticFeed:
    """Writes and reads the feed."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        """`cluster` is prepared before each call."""
        self._cluster = cluster
        self._clock = clock
        self._prefix = feed_prefix(cluster.prefix)

    async def write(self, entries: Mapping[str, Sequence[Entry]], attempt: int = 0) -> None:
        """Each company's blocks; a block that is written again is the same document, in one attempt. StoreDownError."""
        now = self._clock.now_ms()
        index = self._prefix + _week_of(now)
        actions: dict[str, Action] = {}
        for company, items in entries.items():
            for _, packed in blocks_of(items):
                id_ = f"{company}/{sha256(packed).hexdigest()[:40]}/{attempt}"
                fields = {"company_code": company, "recorded_at": now, "items": packed}
                actions[id_] = Action(Address(index, id_, id_), fields, None)
        for _ in range(_ROUNDS):
            if not actions:
                return
            await self._cluster.make(index)
            results = await write(self._cluster, actions.values())
            if results.refused:
                raise StoreDownError(f"the feed is refused: {next(iter(results.refused.values()))}")
            actions = {id_: actions[id_] for id_ in results.conflicts}
            await self._cluster.make(index)
            there = await read(self._cluster, [each.address for each in actions.values()], ["recorded_at"])
            actions = {id_: action for id_, action in actions.items() if id_ not in there}
        raise StoreDownError(f"{index} is deleted again and again")

    async def read(self, company: str, after: str, limit: int) -> list[FeedItem]:
        """One page. ValueError when `after` is no cursor; StoreDownError."""
        places = _places_of(after)
        weeks = await self._extents()
        places = {week: place for week, place in places.items() if week in weeks}
        for week, place in places.items():
            if place.seq_no > weeks[week].newest + 1:  # it was put back from a copy: rather twice than never
                places[week] = Place()
        due = [week for week, extent in weeks.items() if places.get(week, Place()).seq_no <= extent.complete]
        if due:
            with answering():
                await self._cluster.client.indices.refresh(
                    index=[self._prefix + week for week in due], ignore_unavailable=True
                )
        found: list[FeedItem] = []
        while due and len(found) < limit:
            where = Conditions(company).add({"range": {"recorded_at": {"gte": self._clock.now_ms() - FEED_MS}}})
            where.add(self._unread(due, places, weeks))
            answer = await where.search(
                self._cluster,
                index=[self._prefix + week for week in due],
                size=_BLOCKS,
                sort=_ORDER,
                ignore_unavailable=True,
                seq_no_primary_term=True,
            )
            blocks = answer["hits"]["hits"]
            for block in blocks:
                found += self._items(block, places)
            if len(blocks) < _BLOCKS:
                break
        return found[:limit]

    async def drop_old(self) -> None:
        """Deletes the weeks that ended longer ago than changes are kept. StoreDownError."""
        now = self._clock.now_ms()
        with answering():
            present = await self._cluster.client.indices.get_alias(index=f"{self._prefix}*")
            for index in sorted(present):
                if _end_of(index.removeprefix(self._prefix)) + FEED_MS <= now:
                    await self._cluster.client.indices.delete(index=index, ignore_unavailable=True)

    async def _extents(self) -> dict[str, Extent]:
        """The weeks whose primary answers, oldest first; what the others have is read when they are back."""
        with answering():
            answer = await self._cluster.client.indices.stats(
                index=f"{self._prefix}*",
                metric="docs",
                level="shards",
                filter_path=["indices.*.shards.*.seq_no", "indices.*.shards.*.routing.primary"],
            )
        extents = {}
        for index, found in sorted(answer.get("indices", {}).items()):
            for copies in found["shards"].values():
                for copy in copies:
                    if copy["routing"]["primary"] and "seq_no" in copy:
                        numbers = copy["seq_no"]
                        week = index.removeprefix(self._prefix)
                        extents[week] = Extent(numbers["global_checkpoint"], numbers["max_seq_no"])
        return extents

    def _unread(
        self, due: Sequence[str], places: Mapping[str, Place], weeks: Mapping[str, Extent]
    ) -> dict[str, dict[str, Any]]:
        parts = []
        for week in due:
            numbers = {"gte": places.get(week, Place()).seq_no, "lte": weeks[week].complete}
            parts.append(
                {"bool": {"filter": [{"term": {"_index": self._prefix + week}}, {"range": {"_seq_no": numbers}}]}}
            )
        return {"bool": {"should": parts, "minimum_should_match": 1}}

    def _items(self, block: Mapping[str, Any], places: dict[str, Place]) -> Iterator[FeedItem]:
        """What was not read of a block; each item's cursor stands behind it."""
        week, seq_no, source = block["_index"].removeprefix(self._prefix), block["_seq_no"], block["_source"]
        place = places.get(week, Place())
        entries = unpack_block(b64decode(source["items"]))
        start = place.read if place.seq_no == seq_no else 0
        for number, entry in enumerate(entries[start:], start + 1):
            places[week] = Place(seq_no, number) if number < len(entries) else Place(seq_no + 1, 0)
            yield entry.item(_cursor_of(places), source["company_code"])


def _cursor_of(places: Mapping[str, Place]) -> str:
    return "_".join(f"{week}-{place.seq_no}-{place.read}" for week, place in sorted(places.items()))


def _places_of(cursor: str) -> dict[str, Place]:
    if not cursor:
        return {}
    if not _CURSOR.fullmatch(cursor):
        raise ValueError(cursor)
    parts = [part.split("-") for part in cursor.split("_")]
    return {week: Place(int(seq_no), int(read_)) for week, seq_no, read_ in parts}


def _week_of(time_ms: int) -> str:
    """`YYYY.WW` of ISO 8601, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%G.%V")


def _end_of(week: str) -> int:
    year, number = week.split(".")
    monday = date.fromisocalendar(int(year), int(number), 1)
    return (monday.toordinal() - date(1970, 1, 1).toordinal() + 7) * DAY_MS
