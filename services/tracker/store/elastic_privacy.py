"""Suppressed addresses in Elasticsearch: one small index, `<prefix>-suppressions`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from morpheus_kit import ids
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_bulk import Address, read
from services.tracker.store.elastic_client import Cluster, answering, explain
from services.tracker.store.elastic_documents import folded_of
from services.tracker.store.elastic_mappings import DATE, KEPT, index_of
from services.tracker.store.privacy import (
    SUPPRESSED_STATES,
    SUPPRESSING,
    Suppression,
    SuppressionKey,
    SuppressionPlace,
    Unwanted,
)

_EXACT: Final = {"type": "keyword"}
_MAPPINGS: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "key": _EXACT,
        "company_code": _EXACT,
        "stream": _EXACT,
        "recipient": _EXACT,
        "reason": KEPT,
        "time": DATE,
        "address": KEPT,
    },
}
_FOUND: Final = ("company_code", "stream", "state", "address", "fold")


class ElasticPrivacy(ABC):
    """The protocol `PrivacyStore`, over a cluster that `_ready` gives."""

    _has_list: bool = False

    async def unwanted(self, references: Sequence[str]) -> list[Unwanted]:
        """Reads the states of all, and of those that matter the rest."""
        cluster = await self._ready()
        places = {}
        for each in dict.fromkeys(references):
            place = ids.parse_reference(each)
            message_id = each[-36:]
            places[message_id] = Address(index_of(cluster.prefix, place.month), message_id, place.group_key)
        states = await read(cluster, list(places.values()), ["state"])
        matter = [places[id_] for id_, stored in states.items() if stored.source.get("state") in SUPPRESSED_STATES]
        found = []
        for stored in (await read(cluster, matter, _FOUND)).values():
            source = stored.source
            events = folded_of(source).events
            kinds = {SUPPRESSING[event.type] for event in events if event.type in SUPPRESSING}
            if kinds and source.get("company_code") and source.get("address"):
                found.append(
                    Unwanted(source["company_code"], source["stream"], source["address"], tuple(sorted(kinds)))
                )
        return found

    async def add_suppressions(self, rows: Sequence[Suppression]) -> list[bool]:
        """Each by `create`: one that is there stays."""
        operations: list[dict[str, Any]] = []
        for row in rows:
            fields = {
                "key": _key(row),
                "company_code": row.company,
                "stream": row.stream,
                "recipient": row.recipient.hex(),
                "reason": row.reason,
                "time": row.time_ms,
                "address": row.address,
            }
            operations += [{"create": {"_id": _id(row)}}, fields]
        return [status == 201 for status in await self._bulk(operations, {201, 409})]

    async def remove_suppressions(self, company: str, recipient: bytes, stream: str) -> list[str]:
        """Each by its id."""
        wanted = _terms(company_code=company, recipient=recipient.hex(), **({"stream": stream} if stream else {}))
        found = await self._search(query=wanted, size=1_000, sort=["key"])
        rows = [_row(hit) for hit in found]
        await self._bulk([{"delete": {"_id": _id(row)}} for row in rows], {200, 404})
        return [row.stream for row in rows]

    async def suppressions(
        self, company: str, recipient: bytes | None, after: SuppressionPlace | None, limit: int
    ) -> list[Suppression]:
        """One page."""
        wanted = _terms(company_code=company, **({} if recipient is None else {"recipient": recipient.hex()}))
        place = {} if after is None else {"search_after": [after.time_ms, after.stream, after.recipient.hex()]}
        order = [{"time": "desc"}, {"stream": "desc"}, {"recipient": "desc"}]
        return [_row(hit) for hit in await self._search(query=wanted, size=limit, sort=order, **place)]

    async def all_suppressions(self, after: SuppressionKey | None, limit: int) -> list[Suppression]:
        """In the order of `key`."""
        place = {} if after is None else {"search_after": [_key(after)]}
        return [_row(hit) for hit in await self._search(query={"match_all": {}}, size=limit, sort=["key"], **place)]

    async def known_suppressions(self, company: str, stream: str, recipients: Sequence[bytes]) -> set[bytes]:
        """As they are now, without a search."""
        if not recipients:
            return set()
        cluster, index = await self._list()
        wanted = {_id(SuppressionKey(company, stream, each)): each for each in recipients}
        with answering():
            answer = await cluster.client.mget(index=index, ids=list(wanted), source=False)
        return {wanted[doc["_id"]] for doc in answer["docs"] if doc.get("found")}

    async def _search(self, **question: Any) -> list[Mapping[str, Any]]:
        cluster, index = await self._list()
        with answering():
            answer = await cluster.client.search(index=index, allow_partial_search_results=False, **question)
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    async def _bulk(self, operations: Sequence[Mapping[str, Any]], allowed: set[int]) -> list[int]:
        """The status of each; seen by every question afterwards."""
        if not operations:
            return []
        cluster, index = await self._list()
        with answering():
            answer = await cluster.client.bulk(index=index, operations=operations, refresh=True)
        outcomes = [outcome for item in answer["items"] for outcome in item.values()]
        for outcome in outcomes:
            if outcome["status"] not in allowed:
                raise StoreDownError(explain(outcome))
        return [outcome["status"] for outcome in outcomes]

    async def _list(self) -> tuple[Cluster, str]:
        """The cluster, and the name of the index, which is made where it is missing."""
        cluster = await self._ready()
        index = f"{cluster.prefix}-suppressions"
        if not self._has_list:
            settings = {"number_of_shards": 1, "number_of_replicas": cluster.replicas}
            client = cluster.client.options(ignore_status=400)
            with answering():
                answer = await client.indices.create(index=index, mappings=_MAPPINGS, settings=settings)
                if "error" in answer and answer["error"].get("type") != "resource_already_exists_exception":
                    raise StoreDownError(explain(answer.body))
                await cluster.client.cluster.health(index=index, wait_for_active_shards="1", timeout="10s")
            self._has_list = True
        return cluster, index

    @abstractmethod
    async def _ready(self) -> Cluster:
        """The cluster, once it has answered. StoreDownError."""


def _key(row: Suppression | SuppressionKey) -> str:
    """In the order of company, stream and recipient: nothing in them is below a zero."""
    return f"{row.company}\0{row.stream}\0{row.recipient.hex()}"


def _id(row: Suppression | SuppressionKey) -> str:
    return f"{row.company}/{row.stream}/{row.recipient.hex()}"


def _terms(**values: str) -> dict[str, Any]:
    return {"bool": {"filter": [{"term": {name: value}} for name, value in values.items()]}}


def _row(source: Mapping[str, Any]) -> Suppression:
    return Suppression(
        source["company_code"],
        source["stream"],
        bytes.fromhex(source["recipient"]),
        source["reason"],
        source["time"],
        source.get("address"),
    )
