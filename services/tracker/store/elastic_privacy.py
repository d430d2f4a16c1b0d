"""Suppressed addresses in Elasticsearch: one small index, `<prefix>-suppressions`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from morpheus_kit import ids
from services.tracker.store.elastic_bulk import Address, read
from services.tracker.store.elastic_client import Cluster, answering
from services.tracker.store.elastic_documents import folded_of
from services.tracker.store.elastic_mappings import DATE, KEPT, index_of
from services.tracker.store.elastic_small import SmallIndex
from services.tracker.store.privacy import (
    SUPPRESSED_STATES,
    SUPPRESSING,
    Suppression,
    SuppressionKey,
    SuppressionPlace,
    Unwanted,
)

_EXACT: Final = {"type": "keyword"}
_PROPERTIES: Final[dict[str, Any]] = {
    "key": _EXACT,
    "company_code": _EXACT,
    "stream": _EXACT,
    "recipient": _EXACT,
    "reason": KEPT,
    "time": DATE,
    "address": KEPT,
}
_FOUND: Final = ("company_code", "stream", "state", "address", "fold")


class ElasticPrivacy(ABC):
    """The protocol `PrivacyStore`, over a cluster that `_ready` gives."""

    def __init__(self) -> None:
        self._list = SmallIndex("suppressions", _PROPERTIES)

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
        return [status == 201 for status in await self._list.bulk(await self._ready(), operations, {201, 409})]

    async def remove_suppressions(self, company: str, recipient: bytes, stream: str) -> list[str]:
        """Each by its id."""
        wanted = _terms(company_code=company, recipient=recipient.hex(), **({"stream": stream} if stream else {}))
        found = await self._list.search(await self._ready(), query=wanted, size=1_000, sort=["key"])
        rows = [_row(hit) for hit in found]
        await self._list.bulk(await self._ready(), [{"delete": {"_id": _id(row)}} for row in rows], {200, 404})
        return [row.stream for row in rows]

    async def suppressions(
        self, company: str, recipient: bytes | None, after: SuppressionPlace | None, limit: int
    ) -> list[Suppression]:
        """One page."""
        wanted = _terms(company_code=company, **({} if recipient is None else {"recipient": recipient.hex()}))
        place = {} if after is None else {"search_after": [after.time_ms, after.stream, after.recipient.hex()]}
        order = [{"time": "desc"}, {"stream": "desc"}, {"recipient": "desc"}]
        found = await self._list.search(await self._ready(), query=wanted, size=limit, sort=order, **place)
        return [_row(hit) for hit in found]

    async def all_suppressions(self, after: SuppressionKey | None, limit: int) -> list[Suppression]:
        """In the order of `key`."""
        place = {} if after is None else {"search_after": [_key(after)]}
        question: dict[str, Any] = {"query": {"match_all": {}}, "size": limit, "sort": ["key"], **place}
        return [_row(hit) for hit in await self._list.search(await self._ready(), **question)]

    async def known_suppressions(self, company: str, stream: str, recipients: Sequence[bytes]) -> set[bytes]:
        """As they are now, without a search."""
        if not recipients:
            return set()
        cluster = await self._ready()
        index = await self._list.made(cluster)
        wanted = {_id(SuppressionKey(company, stream, each)): each for each in recipients}
        with answering():
            answer = await cluster.client.mget(index=index, ids=list(wanted), source=False)
        return {wanted[doc["_id"]] for doc in answer["docs"] if doc.get("found")}

    async def forget_address(self, company: str, recipient: bytes) -> int:
        """Each by its id."""
        wanted = _terms(company_code=company, recipient=recipient.hex())
        rows = [_row(source) for source in await self._list.search(await self._ready(), query=wanted, size=1_000)]
        operations: list[dict[str, Any]] = []
        for row in rows:
            if row.address is not None:
                operations += [{"update": {"_id": _id(row)}}, {"doc": {"address": None}}]
        return (await self._list.bulk(await self._ready(), operations, {200, 404})).count(200)

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
