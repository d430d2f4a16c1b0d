"""Erased persons in Elasticsearch: who was, in the index `<prefix>-erasures`, and what is left of their messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from morpheus_kit import ids
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_bulk import Action, Address, Stored, read, write
from services.tracker.store.elastic_client import Cluster, answering
from services.tracker.store.elastic_documents import READ_FOR_WRITE, erased_fields, head_for_write
from services.tracker.store.elastic_groups import ROUNDS, Groups
from services.tracker.store.elastic_mappings import DATE, index_of
from services.tracker.store.elastic_small import SmallIndex
from services.tracker.store.privacy import Erasure

_EXACT: Final = {"type": "keyword"}
_PROPERTIES: Final = {"key": _EXACT, "company_code": _EXACT, "recipient": _EXACT, "time": DATE}
_READ: Final = [*READ_FOR_WRITE, "of_company", "relation", "erased"]
_LATER: Final = "if (ctx._source.time < params.time) { ctx._source.time = params.time } else { ctx.op = 'none' }"


class ElasticErasures(ABC):
    """The part of the protocol `PrivacyStore` that is about erasing, over a cluster that `_ready` gives."""

    _groups: Groups

    def __init__(self) -> None:
        self._erasures = SmallIndex("erasures", _PROPERTIES)

    async def add_erasure(self, erasure: Erasure) -> None:
        """By its id; the later time stays."""
        row = {
            "key": _key(erasure),
            "company_code": erasure.company,
            "recipient": erasure.recipient.hex(),
            "time": erasure.time_ms,
        }
        script = {"source": _LATER, "params": {"time": erasure.time_ms}}
        where = {"update": {"_id": _key(erasure), "retry_on_conflict": 5}}
        await self._erasures.bulk(await self._ready(), [where, {"script": script, "upsert": row}], {200, 201})

    async def erasures(self, after: Erasure | None, limit: int) -> list[Erasure]:
        """In the order of `key`."""
        place = {} if after is None else {"search_after": [_key(after)]}
        question: dict[str, Any] = {"query": {"match_all": {}}, "size": limit, "sort": ["key"], **place}
        return [_row(source) for source in await self._erasures.search(await self._ready(), **question)]

    async def drop_erasures(self, before_ms: int, limit: int) -> list[Erasure]:
        """Each by its id."""
        question: dict[str, Any] = {"query": {"range": {"time": {"lt": before_ms}}}, "size": limit, "sort": ["key"]}
        found = [_row(source) for source in await self._erasures.search(await self._ready(), **question)]
        await self._erasures.bulk(await self._ready(), [{"delete": {"_id": _key(row)}} for row in found], {200, 404})
        return found

    async def messages_to(self, company: str, spellings: Sequence[str], limit: int) -> list[str]:
        """Also those whose group is not known yet: they have their company."""
        cluster = await self._ready()
        owners = [{"term": {"company_code": company}}, {"term": {"of_company": company}}]
        wanted = [{"terms": {"address_normalised": list(spellings)}}, {"bool": {"should": owners}}]
        with answering():
            await cluster.client.indices.refresh(index=cluster.pattern)
            answer = await cluster.client.search(
                index=cluster.pattern,
                query={"bool": {"filter": wanted}},
                size=limit,
                source=False,
                allow_partial_search_results=False,
            )
        return [_reference(cluster, hit) for hit in answer["hits"]["hits"]]

    async def erase(self, company: str, references: Sequence[str]) -> int:
        """Each read and written if it has not changed meanwhile."""
        cluster = await self._ready()
        addresses = {address.id: address for address in (_address(cluster, each) for each in references)}
        erased = 0
        for _ in range(ROUNDS):
            stored = await read(cluster, list(addresses.values()), _READ)
            wanted = {id_: found for id_, found in stored.items() if _is_to_erase(company, found.source)}
            shared = await self._groups.shared_of(_families(addresses, wanted))
            actions = [
                Action(
                    addresses[id_],
                    erased_fields(id_, head_for_write(found.source), shared.get(_parent(found.source))),
                    found,
                )
                for id_, found in wanted.items()
            ]
            results = await write(cluster, actions)
            if results.refused:
                raise StoreDownError(next(iter(results.refused.values())))
            erased += len(actions) - len(results.conflicts)
            addresses = {id_: addresses[id_] for id_ in results.conflicts}
            if not addresses:
                return erased
        raise StoreDownError("documents change faster than they can be erased")

    async def erased(self, references: Sequence[str]) -> set[str]:
        """As they are now, without a search."""
        cluster = await self._ready()
        with answering():
            present = await cluster.client.indices.get_alias(index=cluster.pattern)
        addresses = [_address(cluster, each) for each in dict.fromkeys(references)]
        found = await read(cluster, [each for each in addresses if each.month_index in present], ["erased"])
        return {id_ for id_, stored in found.items() if stored.source.get("erased")}

    async def tidy(self) -> None:
        """Elasticsearch drops the bytes of what was overwritten when it merges segments; those with much of it, now."""
        cluster = await self._ready()
        with answering():
            await cluster.client.indices.forcemerge(
                index=cluster.pattern, only_expunge_deletes=True, wait_for_completion=False
            )

    @abstractmethod
    async def _ready(self) -> Cluster:
        """The cluster, once it has answered. StoreDownError."""


def _is_to_erase(company: str, source: Mapping[str, Any]) -> bool:
    return bool(source.get("record")) and not source.get("erased") and _owner(source) == company


def _owner(source: Mapping[str, Any]) -> str | None:
    return source.get("company_code") or source.get("of_company")


def _parent(source: Mapping[str, Any]) -> str:
    return str(source["relation"]["parent"])


def _families(addresses: Mapping[str, Address], stored: Mapping[str, Stored]) -> dict[str, Address]:
    """The groups of documents."""
    found = {}
    for id_, each in stored.items():
        index, _, routing = addresses[id_]
        found[_parent(each.source)] = Address(index, _parent(each.source), routing)
    return found


def _address(cluster: Cluster, reference: str) -> Address:
    place = ids.parse_reference(reference)
    return Address(index_of(cluster.prefix, place.month), place.message_id, place.group_key)


def _reference(cluster: Cluster, hit: Mapping[str, Any]) -> str:
    month = hit["_index"].removeprefix(f"{cluster.prefix}-").replace("-", "")
    return f"{month}-000-{hit['_routing']}-{hit['_id']}"


def _key(row: Erasure) -> str:
    """In the order of company and recipient: nothing in them is below a zero."""
    return f"{row.company}\0{row.recipient.hex()}"


def _row(source: Mapping[str, Any]) -> Erasure:
    return Erasure(source["company_code"], bytes.fromhex(source["recipient"]), source["time"])
