"""The questions that the Elasticsearch store answers, and the one place where they are kept to a company."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from elasticsearch import ApiError

from morpheus_kit import ids
from morpheus_kit.addresses import normalise_address
from morpheus_kit.errors import DeadlineError
from services.tracker.documents import Document
from services.tracker.store.base import EVERYONE, GroupFilter, GroupRow, MessageFilter, Position
from services.tracker.store.elastic_bulk import Address
from services.tracker.store.elastic_client import Cluster, answering
from services.tracker.store.elastic_documents import (
    LARGE,
    GroupDocument,
    body_of_source,
    group_of_source,
    head_of_source,
)
from services.tracker.store.elastic_groups import Groups
from services.tracker.store.reports import DAY_MS
from services.tracker.words import LONGEST_WORD

_LATELY_SECONDS: Final = 60
_SEARCH_SECONDS: Final = "10s"
_STATES: Final = 50
_WINDOWS_MS: Final = (2 * DAY_MS, 14 * DAY_MS)
_BEING_MADE: Final = ("no_shard_available_action_exception", "missing shards")
_BEING_MADE_SECONDS: Final = (0.1, 0.4, 1.0, 2.0)
NEWEST_FIRST: Final = [{"accepted_at": "desc"}, {"place": "desc"}]


class TooManyBucketsError(Exception):
    """The cluster does not put together as many sums in one answer."""


class Conditions:
    """A filter that always begins with who asks; every search of the store is made by one.

    Documents whose group or company is not known yet are seen by nobody.
    """

    def __init__(self, company: str, *, counting: bool = False) -> None:
        """`*` sees every company's. Messages of erased persons are seen by nobody, and found only where they count."""
        everyone = {"exists": {"field": "company_code"}}
        self._filters: list[dict[str, Any]] = [everyone if company == EVERYONE else _term("company_code", company)]
        if not counting:
            self._filters.append({"bool": {"must_not": {"term": {"erased": True}}}})

    def add(self, *filters: dict[str, Any]) -> Conditions:
        """More conditions that must all hold."""
        self._filters += filters
        return self

    def among(self, from_ms: int | None, to_ms: int | None) -> Conditions:
        """A half-open range of acceptance time."""
        bounds = {"gte": from_ms, "lt": to_ms}
        given = {name: value for name, value in bounds.items() if value is not None}
        return self.add({"range": {"accepted_at": given}}) if given else self

    async def search(self, cluster: Cluster, **body: Any) -> dict[str, Any]:
        """Asks all months. StoreDownError; DeadlineError when it takes too long; TooManyBucketsError."""
        question = {
            "index": cluster.pattern,
            "query": {"bool": {"filter": self._filters}},
            "timeout": _SEARCH_SECONDS,
            "track_total_hits": False,
            "allow_partial_search_results": False,
            **body,
        }
        with answering():
            try:
                answer = await _ask(cluster, question)
            except ApiError as exc:
                if "too_many_buckets_exception" in str(exc.body):
                    raise TooManyBucketsError from exc
                raise
        if answer["timed_out"]:
            raise DeadlineError("The question took too long; narrow it down.")
        return answer


async def _ask(cluster: Cluster, question: Mapping[str, Any]) -> dict[str, Any]:
    """Waits a moment for an index that somebody is making."""
    for seconds in _BEING_MADE_SECONDS:
        try:
            return dict((await cluster.client.search(**question)).body)
        except ApiError as exc:
            if not any(words in str(exc.body) for words in _BEING_MADE):
                raise
        await asyncio.sleep(seconds)
    return dict((await cluster.client.search(**question)).body)


async def read_group(cluster: Cluster, groups: Groups, now_ms: int, company: str, group_id: str) -> GroupRow | None:
    """For `*` the newest group of that id."""
    if company != EVERYONE:
        return await _group_of(cluster, groups, now_ms, company, group_id)
    where = Conditions(company).add(_relation("group"), _term("group_id", group_id))
    answer = await where.search(cluster, size=1, sort=NEWEST_FIRST)
    rows = await _group_rows(cluster, now_ms, answer["hits"]["hits"])
    return rows[0] if rows else None


async def _group_of(cluster: Cluster, groups: Groups, now_ms: int, company: str, group_id: str) -> GroupRow | None:
    """With what its messages add up to, by one search; of its month alone where that is known."""
    uuid = ids.group_uuid(company, group_id)
    index = groups.index_of(uuid)
    answer = (
        await Conditions(company, counting=True)
        .add(_term("relation#group", uuid))
        .search(
            cluster,
            **({} if index is None else {"index": index, "ignore_unavailable": True}),
            routing=uuid[:8],
            size=1,
            post_filter=_relation("group"),
            aggs=_sums_of(now_ms),
        )
    )
    hits = answer["hits"]["hits"]
    if not hits:
        return None
    group = group_of_source(hits[0]["_source"])
    row = _group_row(group, answer["aggregations"])
    groups.remember(uuid, row.shared)
    return row


async def read_groups(
    cluster: Cluster, now_ms: int, company: str, wanted: GroupFilter, page: tuple[Position | None, int]
) -> list[GroupRow]:
    """One page."""
    after, limit = page
    where = Conditions(company).add(_relation("group")).among(wanted.from_ms, wanted.to_ms)
    _add_terms(where, {"method": wanted.method, "tags": wanted.tag})
    answer = await where.search(cluster, size=limit, sort=NEWEST_FIRST, **_following(after))
    return await _group_rows(cluster, now_ms, answer["hits"]["hits"])


async def _group_rows(cluster: Cluster, now_ms: int, hits: Sequence[Mapping[str, Any]]) -> list[GroupRow]:
    """Groups with what their messages add up to: one search for all of them."""
    if not hits:
        return []
    groups = {hit["_id"]: group_of_source(hit["_source"]) for hit in hits}
    sums = await _sums(cluster, now_ms, hits)
    return [_group_row(group, sums.get(uuid)) for uuid, group in groups.items()]


async def _sums(cluster: Cluster, now_ms: int, hits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    uuids = [hit["_id"] for hit in hits]
    where = Conditions(EVERYONE, counting=True).add(_relation("message"), {"terms": {"relation#group": uuids}})
    answer = await where.search(
        cluster,
        index=",".join(sorted({hit["_index"] for hit in hits})),
        routing=",".join(sorted({hit["_routing"] for hit in hits})),
        size=0,
        aggs={
            "group": {"terms": {"field": "relation#group", "size": len(uuids)}, "aggs": _sums_of(now_ms)},
        },
    )
    return {bucket["key"]: bucket for bucket in answer["aggregations"]["group"]["buckets"]}


def _sums_of(now_ms: int) -> dict[str, Any]:
    """Of fields that groups do not have."""
    since = (now_ms // 1000 - _LATELY_SECONDS + 1) * 1000
    return {
        "states": {"terms": {"field": "state", "size": _STATES}},
        "settled": {"stats": {"field": "settled_at"}},
        "lately": {"filter": {"range": {"settled_at": {"gte": since}}}},
    }


def _group_row(group: GroupDocument, sums: Mapping[str, Any] | None) -> GroupRow:
    if group.shared is None:
        raise ValueError("a group without its record was asked for")
    counts = {bucket["key"]: bucket["doc_count"] for bucket in sums["states"]["buckets"]} if sums else {}
    return GroupRow(
        group.shared,
        group.accepted_ms,
        sum(part[1] for part in group.parts),
        len(group.parts),
        counts,
        sums["settled"]["count"] if sums else 0,
        int(sums["settled"]["max"] or 0) if sums else 0,
        sums["lately"]["doc_count"] if sums else 0,
        group.operations,
        dict(group.template_versions),
    )


async def read_messages(
    cluster: Cluster,
    groups: Groups,
    now_ms: int,
    company: str,
    wanted: MessageFilter,
    page: tuple[Position | None, int],
) -> list[Document]:
    """One page without bodies."""
    after, limit = page
    hits: list[Mapping[str, Any]] = []
    for since_ms in _beginnings(now_ms, wanted, after):
        where = _messages(company, wanted).among(since_ms, None)
        answer = await where.search(
            cluster, size=limit, sort=NEWEST_FIRST, source={"excludes": LARGE}, **_following(after)
        )
        hits = answer["hits"]["hits"]
        if len(hits) == limit:
            break
    return await _documents(groups, hits, with_body=False)


def _beginnings(now_ms: int, wanted: MessageFilter, after: Position | None) -> list[int | None]:
    """Since when to look, latest first; None: since ever.

    Sorting all is dear, and a page full of newer messages needs no older ones. What finds few looks everywhere at once.
    """
    if wanted.group_id or wanted.address or wanted.external_id or wanted.reason:
        return [None]
    newest_ms = now_ms if wanted.to_ms is None else min(now_ms, wanted.to_ms)
    if after is not None:
        newest_ms = after.accepted_ms
    begins = [newest_ms - window for window in _WINDOWS_MS]
    return [*(each for each in begins if each > (wanted.from_ms or 0)), None]


def _messages(company: str, wanted: MessageFilter) -> Conditions:
    where = Conditions(company).add(_relation("message")).among(wanted.from_ms, wanted.to_ms)
    _add_terms(where, {name: getattr(wanted, name) for name in _SAME_NAME})
    _add_terms(where, {"address_normalised": normalise_address(wanted.address) if wanted.address else ""})
    return where.add(*(_term("tags", tag) for tag in wanted.tags), *_words(wanted.words))


async def read_message(cluster: Cluster, groups: Groups, company: str, message_id: str) -> Document | None:
    """One message with its body."""
    found = await read_details(cluster, groups, company, [message_id])
    return found[0] if found else None


async def read_details(cluster: Cluster, groups: Groups, company: str, message_ids: Sequence[str]) -> list[Document]:
    """Some messages with their bodies."""
    where = Conditions(company).add(_relation("message"), {"ids": {"values": list(message_ids)}})
    answer = await where.search(cluster, size=max(1, len(message_ids)), source={"excludes": ["words"]})
    return await _documents(groups, answer["hits"]["hits"], with_body=True)


async def _documents(groups: Groups, hits: Sequence[Mapping[str, Any]], *, with_body: bool) -> list[Document]:
    parents = {hit["_source"]["relation"]["parent"]: hit for hit in hits}
    shared = await groups.shared_of(
        {uuid: Address(hit["_index"], uuid, hit["_routing"]) for uuid, hit in parents.items()}
    )
    documents = []
    for hit in hits:
        source = hit["_source"]
        if (found := shared.get(source["relation"]["parent"])) is not None:
            body = body_of_source(source) if with_body else None
            documents.append(Document(hit["_id"], found, head_of_source(source), source["place"], body))
    return documents


_SAME_NAME: Final = ("group_id", "state", "reason", "method", "stream", "external_id")


def _add_terms(where: Conditions, wanted: Mapping[str, str]) -> None:
    where.add(*(_term(name, value) for name, value in wanted.items() if value))


def _term(name: str, value: str) -> dict[str, Any]:
    return {"term": {name: value}}


def _relation(name: str) -> dict[str, Any]:
    return _term("relation", name)


def _words(words: Sequence[str]) -> list[dict[str, Any]]:
    if not words:
        return []
    *whole, last = [word[:LONGEST_WORD] for word in words]
    return [*(_term("words", word) for word in whole), {"prefix": {"words": {"value": last}}}]


def _following(after: Position | None) -> dict[str, Any]:
    return {} if after is None else {"search_after": [after.accepted_ms, after.place]}
