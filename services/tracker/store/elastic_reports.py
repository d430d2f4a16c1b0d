"""Statistics, costs, the feed and kept inputs of the Elasticsearch store.

Messages are counted where they are: one pass over the values of the field `tally`, which says of each message all that
is counted. A message whose fields follow from events is never counted by what an event before them said.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from services.tracker.documents import Document
from services.tracker.store import reports
from services.tracker.store.elastic_client import Cluster
from services.tracker.store.elastic_feed import ElasticFeed
from services.tracker.store.elastic_groups import Groups
from services.tracker.store.elastic_queries import Conditions, TooManyBucketsError, read_details
from services.tracker.store.reports import (
    DAY_MS,
    CostItem,
    CostQuery,
    FeedItem,
    StatisticsItem,
    StatisticsQuery,
    TooManyItemsError,
)
from services.tracker.store.tallies import reached_names, read_tally

_TAGS_OF_A_SHARD: Final = 20
"""Of a shard 20 times as many tags as an answer has are looked at; their numbers are then counted exactly."""
_FEW: Final = 1_000
"""More than there are methods, currencies or tallies."""


class Level(NamedTuple):
    """One level of nested sums, and how it is asked for. It is cheapest with the level of fewest values outermost."""

    name: str
    source: dict[str, Any]


class ElasticReports(ABC):
    """The protocol `Reports`, over a cluster that `_ready` gives."""

    _groups: Groups
    _feed: ElasticFeed

    async def statistics(self, company: str, wanted: StatisticsQuery) -> list[StatisticsItem]:
        """By bucket, method, tag. TooManyItemsError."""
        cluster = await self._ready()
        tags = None
        if wanted.by_tag:
            tags = await _most_used(cluster, Conditions(company, counting=True).among(wanted.from_ms, wanted.to_ms))
        items: dict[tuple[int, str, str], StatisticsItem] = {}
        await _count(cluster, company, wanted, tags, items)
        return [items[key] for key in sorted(items)]

    async def costs(self, company: str, wanted: CostQuery) -> list[CostItem]:
        """By key, then currency. TooManyItemsError."""
        cluster = await self._ready()
        levels = [_terms("currency", "cost_currency"), await _cost_key(cluster, company, wanted)]
        sums = {"sum": {"sum": {"field": "cost_micros"}}}
        answer = await _priced(company, wanted).search(cluster, size=0, aggs=_nested(levels, sums))
        found = []
        for keys, bucket in _flat(answer, levels):
            key = _day_of(keys["by"]) if wanted.by == "day" else keys["by"]
            found.append(CostItem(key, keys["currency"], bucket["doc_count"], round(bucket["sum"]["value"])))
        if len(found) > reports.MOST_ITEMS:
            raise TooManyItemsError
        return sorted(found)

    async def changes(self, company: str, after: str, limit: int) -> list[FeedItem]:
        """One page of the feed."""
        await self._ready()
        return await self._feed.read(company, after, limit)

    async def details(self, company: str, message_ids: Sequence[str]) -> list[Document]:
        """Messages with their bodies."""
        return await read_details(await self._ready(), self._groups, company, message_ids)

    @abstractmethod
    async def _ready(self) -> Cluster:
        """The cluster, once it has answered. StoreDownError."""


async def _count(
    cluster: Cluster,
    company: str,
    wanted: StatisticsQuery,
    tags: Sequence[str] | None,
    items: dict[tuple[int, str, str], StatisticsItem],
) -> None:
    """Adds to `items`; what is too much for one answer of the cluster is asked for in halves."""
    levels = [_terms("method", "method")] if wanted.by_method else []
    levels += [_terms("tally", "tally"), _buckets("bucket", wanted.interval_ms)]
    levels += [] if tags is None else [_of(tags, "tag")]
    where = Conditions(company, counting=True).among(wanted.from_ms, wanted.to_ms)
    try:
        answer = await where.search(cluster, size=0, aggs=_nested(levels, {}))
    except TooManyBucketsError:
        for part, some in _halves(wanted, tags):
            await _count(cluster, company, part, some, items)
        return
    for keys, bucket in _flat(answer, levels):
        key = (int(keys["bucket"]), keys.get("method", ""), keys.get("tag", ""))
        item = items.setdefault(key, StatisticsItem(*key))
        tally, number = read_tally(keys["tally"]), bucket["doc_count"]
        item.counts[tally.state] = item.counts.get(tally.state, 0) + number
        for name in reached_names(tally.reached):
            item.reached[name] = item.reached.get(name, 0) + number
    if len(items) > reports.MOST_ITEMS:
        raise TooManyItemsError


def _halves(wanted: StatisticsQuery, tags: Sequence[str] | None) -> list[tuple[StatisticsQuery, Sequence[str] | None]]:
    """The same question as two: of half the buckets each, or of half the tags where there is one bucket."""
    interval = wanted.interval_ms
    first, last = wanted.from_ms // interval, (wanted.to_ms - 1) // interval
    if first < last:
        middle = (first + last + 1) // 2 * interval
        return [(replace(wanted, to_ms=middle), tags), (replace(wanted, from_ms=middle), tags)]
    if tags is None or len(tags) < 2:
        raise TooManyItemsError
    return [(wanted, tags[: len(tags) // 2]), (wanted, tags[len(tags) // 2 :])]


async def _most_used(cluster: Cluster, where: Conditions) -> list[str]:
    """The tags with the most messages, exact as long as no shard has very many tags."""
    size = reports.MOST_TAGS
    tags = {"terms": {"field": "tags", "size": size, "shard_size": size * _TAGS_OF_A_SHARD}}
    answer = await where.add({"exists": {"field": "tally"}}).search(cluster, size=0, aggs={"tag": tags})
    return [keys["tag"] for keys, _ in _flat(answer, [Level("tag", tags)])]


def _priced(company: str, wanted: CostQuery) -> Conditions:
    priced = {"exists": {"field": "cost_currency"}}
    return Conditions(company, counting=True).among(wanted.from_ms, wanted.to_ms).add(priced)


async def _cost_key(cluster: Cluster, company: str, wanted: CostQuery) -> Level:
    if wanted.by == "day":
        return _buckets("by", DAY_MS)
    if wanted.by == "tag":
        return _of(await _most_used(cluster, _priced(company, wanted)), "by")
    field = "company_code" if wanted.by == "company" else wanted.by
    return _terms("by", field, reports.MOST_ITEMS + 1)


def _terms(name: str, field: str, size: int = _FEW) -> Level:
    return Level(name, {"terms": {"field": field, "size": size}})


def _of(tags: Sequence[str], name: str) -> Level:
    """Of no tags at all it asks for one that nobody can have."""
    some = list(tags) or [""]
    return Level(name, {"terms": {"field": "tags", "size": len(some), "include": some}})


def _buckets(name: str, interval_ms: int) -> Level:
    """Epoch-aligned, in UTC."""
    histogram = {"field": "accepted_at", "fixed_interval": f"{interval_ms}ms", "min_doc_count": 1}
    return Level(name, {"date_histogram": histogram})


def _nested(levels: Sequence[Level], innermost: Mapping[str, Any]) -> dict[str, Any]:
    aggs = dict(innermost)
    for name, source in reversed(levels):
        aggs = {name: source | ({"aggs": aggs} if aggs else {})}
    return aggs


def _flat(answer: Mapping[str, Any], levels: Sequence[Level]) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Each innermost bucket with the keys on the way to it; none where there is no index yet."""
    return _walk(answer.get("aggregations") or {}, [level.name for level in levels])


def _walk(found: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    name, *rest = names
    for bucket in found.get(name, {}).get("buckets", ()):
        if not rest:
            yield {name: bucket["key"]}, bucket
        for keys, inner in _walk(bucket, rest) if rest else ():
            yield {name: bucket["key"], **keys}, inner


def _day_of(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
