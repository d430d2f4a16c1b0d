"""Reads and writes of many documents at once, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

import msgspec
from elasticsearch import ApiError

from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_client import Cluster, answering, explain
from services.tracker.store.elastic_documents import Fields

_ITEMS: Final = 1_000
_BYTES: Final = 8 * 1024 * 1024
_PASSING: Final = frozenset([401, 403, 408, 429, 500, 502, 503, 504])
_NO_INDEX, _NO_FIELD = "index_not_found_exception", "strict_dynamic_mapping_exception"
_encoder = msgspec.json.Encoder()


class Address(NamedTuple):
    """Where a document is; it follows from the message reference without a search."""

    month_index: str
    id: str
    routing: str


class Stored(NamedTuple):
    """A document as it was read; what is written over it is refused when it has changed since."""

    seq_no: int
    primary_term: int
    source: dict[str, Any]


class Action(NamedTuple):
    """One document to write: new where `stored` is None, else these fields over those it has."""

    address: Address
    fields: Fields
    stored: Stored | None


class Results(NamedTuple):
    """What became of each action: written, or one of these, by id."""

    conflicts: set[str]
    refused: dict[str, str]


async def read(cluster: Cluster, wanted: Sequence[Address], fields: Sequence[str] | None) -> dict[str, Stored]:
    """The present state of documents, by id. `fields` None: all of them. StoreDownError."""
    found: dict[str, Stored] = {}
    for start in range(0, len(wanted), _ITEMS):
        docs = [
            {"_index": index, "_id": id_, "routing": routing} | ({} if fields is None else {"_source": list(fields)})
            for index, id_, routing in wanted[start : start + _ITEMS]
        ]
        with answering():
            answer = await cluster.client.mget(docs=docs)
        for doc in answer["docs"]:
            if "error" in doc:
                if doc["error"].get("type") == _NO_INDEX:
                    cluster.forget_index(doc["_index"])
                raise StoreDownError(explain(doc))
            if doc["found"]:
                found[doc["_id"]] = Stored(doc["_seq_no"], doc["_primary_term"], doc["_source"])
    return found


async def write(cluster: Cluster, actions: Iterable[Action]) -> Results:
    """Writes all in as many requests as their size asks for. StoreDownError; nothing of it harms when repeated."""
    results = Results(set(), {})
    lines: list[bytes] = []
    size = 0
    batch: list[Action] = []
    for action in actions:
        pair = _lines(action)
        weight = sum(map(len, pair))
        if batch and (len(batch) == _ITEMS or size + weight > _BYTES):
            await _send(cluster, batch, lines, results)
            batch, lines, size = [], [], 0
        batch.append(action)
        lines += pair
        size += weight
    if batch:
        await _send(cluster, batch, lines, results)
    return results


def _lines(action: Action) -> tuple[bytes, bytes]:
    index, id_, routing = action.address
    where: dict[str, Any] = {"_index": index, "_id": id_, "routing": routing}
    if action.stored is None:
        fields = {name: value for name, value in action.fields.items() if value is not None}
        return _encoder.encode({"create": where}), _encoder.encode(fields)
    where |= {"if_seq_no": action.stored.seq_no, "if_primary_term": action.stored.primary_term}
    return _encoder.encode({"update": where}), _encoder.encode({"doc": action.fields})


async def _send(cluster: Cluster, batch: Sequence[Action], lines: Sequence[bytes], results: Results) -> None:
    try:
        with answering():
            answer = await cluster.client.bulk(
                operations=cast("Sequence[Any]", b"\n".join([*lines, b""])),
                filter_path=["errors", "items.*.status", "items.*.error"],
            )
    except ApiError as exc:
        if exc.meta.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        if len(batch) == 1:
            results.refused[batch[0].address.id] = "it is larger than a request may be"
            return
        half = len(batch) // 2
        await _send(cluster, batch[:half], lines[: 2 * half], results)
        await _send(cluster, batch[half:], lines[2 * half :], results)
        return
    if not answer["errors"]:
        return
    for action, item in zip(batch, answer["items"], strict=True):
        ((_, outcome),) = item.items()
        _note(cluster, action, outcome, results)


def _note(cluster: Cluster, action: Action, outcome: Mapping[str, Any], results: Results) -> None:
    error = outcome.get("error")
    if error is None:
        return
    status, type_ = outcome["status"], error.get("type", "")
    if status in {404, 409}:
        if type_ == _NO_INDEX:
            cluster.forget_index(action.address.month_index)
        results.conflicts.add(action.address.id)
    elif type_ == _NO_FIELD:  # documents have only fields that the schema has, so the index is behind it
        cluster.forget_schema()
        raise StoreDownError(f"{status} {explain(outcome)}")
    elif status in _PASSING or type_ == "cluster_block_exception":
        raise StoreDownError(f"{status} {explain(outcome)}")
    else:
        results.refused[action.address.id] = explain(outcome)
