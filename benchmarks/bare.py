"""What the record stores are compared with: a bare bulk loop of the very documents that the tracker has written.

One loop has copied them out of the tracker's store before its clock runs. The other begins where the tracker begins,
with entries of the queue, and makes each document by the tracker's own pure functions: what the tracker takes beyond it
goes into the queue, groups, the feed, sums, and into finding out what is there already.
"""

from __future__ import annotations

import sqlite3
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from elasticsearch import AsyncElasticsearch, Elasticsearch

from benchmarks.archive import Group
from morpheus_kit import ids
from morpheus_kit.queue.outcomes import unpack_outcome
from services.tracker.documents import searchable
from services.tracker.store.bodies import SELECT, BodyWriter, unpack_body
from services.tracker.store.changes import Applied, Change, apply, collect
from services.tracker.store.elastic_documents import folded_fields, record_fields, shared_fields
from services.tracker.store.schema import connect_writer, migrate
from services.tracker.store.sqlite_rows import row_of
from services.tracker.store.sqlite_writer import head_decoder
from services.tracker.words import distinct_words

_TRANSACTION: Final = 5_000
_REQUEST: Final = 1_000
"""Documents; as many as the tracker's."""
_READ: Final = 2_000


class Reading(NamedTuple):
    """What was written, and what it took."""

    documents: int
    seconds: float
    cpu: float
    """Seconds of the process that writes."""


Copy = Callable[[], Awaitable[Reading]]


class Bare(Protocol):
    """Both loops of a store."""

    def copying(self, groups: Sequence[Group]) -> Copy:
        """Reads the messages of `groups`; what it returns writes them once more."""
        ...

    def making(self, groups: Sequence[Group]) -> Copy:
        """What it returns makes them of the entries of the queue, and writes them."""
        ...

    def close(self) -> None:
        """At the end."""
        ...


class BareSqlite:
    """`executemany` into files of the same tables and settings."""

    def __init__(self, records: Path, folder: Path) -> None:
        """`records` is the tracker's file."""
        self._from = sqlite3.connect(f"file:{records}?mode=ro", uri=True)
        self._copied, self._made = (connect_writer(folder / name) for name in ("copied.db", "made.db"))
        migrate(self._copied)
        migrate(self._made)
        self._numbers = count(1)

    def copying(self, groups: Sequence[Group]) -> Copy:
        """Finished rows of messages, bodies, words and tags."""
        rows = [row for group in groups for row in self._rows(group)]

        def insert(batch: Sequence[Any]) -> None:
            messages, bodies, words, tags = zip(*batch, strict=True)
            self._copied.executemany(f"INSERT INTO bodies VALUES ({_marks(bodies[0])})", bodies)  # noqa: S608  marks
            _insert(self._copied, messages, words, tags)

        return self._copy(self._copied, rows, insert)

    def making(self, groups: Sequence[Group]) -> Copy:
        """The same rows."""
        entries = _entries(groups)
        bodies = BodyWriter(self._made)

        def insert(batch: Sequence[Any]) -> None:
            messages, unpacked, words, tags = zip(*batch, strict=True)
            bodies.write(unpacked)
            _insert(self._made, messages, words, tags)

        return self._copy(self._made, self._make(entries), insert)

    def close(self) -> None:
        """Closes all files."""
        for each in (self._from, self._copied, self._made):
            each.close()

    def _copy(self, to: sqlite3.Connection, rows: Iterable[Any], insert: Callable[[Sequence[Any]], None]) -> Copy:
        async def copy() -> Reading:
            started, cpu, written = time.perf_counter(), time.process_time(), 0
            for batch in _cut(rows, _TRANSACTION):
                to.execute("BEGIN IMMEDIATE")
                insert(batch)
                to.execute("COMMIT")
                written += len(batch)
            return Reading(written, time.perf_counter() - started, time.process_time() - cpu)

        return copy

    def _rows(self, group: Group) -> Iterator[tuple[Any, ...]]:
        uuid = bytes.fromhex(ids.group_uuid(group.company, group.group_id).replace("-", ""))
        sql = "SELECT m.head, m.* FROM messages m WHERE group_n = (SELECT n FROM groups WHERE uuid = ?) ORDER BY n"
        for packed, n, *rest in self._from.execute(sql, (uuid,)):
            head = head_decoder.decode(packed)
            body = self._from.execute("SELECT * FROM bodies WHERE n = ?", (n,)).fetchone()
            text = unpack_body(*self._from.execute(SELECT, (n,)).fetchone()).text
            yield (n, *rest), body, (n, distinct_words(searchable(head, text))), [(tag, n) for tag in head.tags]

    def _make(self, entries: Iterable[tuple[Group, dict[bytes, bytes]]]) -> Iterator[tuple[Any, ...]]:
        for group, _, change, (head, body, *_) in _made(entries):
            n = next(self._numbers)
            message = row_of(n, change.reference, group.company, group.number, head)
            words = distinct_words(searchable(head, body.text if body else ""))
            yield message, (n, group.number, body), (n, words), [(tag, n) for tag in head.tags]


class BareElasticsearch:
    """The official client's `bulk` into indices of the same mappings and settings, `copied-…` and `made-…`."""

    def __init__(self, url: str) -> None:
        """`url` is the tracker's cluster."""
        self._url = url
        self._client = Elasticsearch(url, request_timeout=60)

    def copying(self, groups: Sequence[Group]) -> Copy:
        """Finished documents, as dictionaries."""
        return self._copy([pair for group in groups for pair in self._documents(group)])

    def making(self, groups: Sequence[Group]) -> Copy:
        """The same documents."""
        for group in groups:
            self._make_index("made", _index_of(group))
        return self._copy(self._make(_entries(groups)))

    def close(self) -> None:
        """Closes the connection for reading."""
        self._client.close()

    def _copy(self, documents: Iterable[tuple[Any, Any]]) -> Copy:
        async def copy() -> Reading:
            async with AsyncElasticsearch(self._url, request_timeout=60) as client:
                await client.info()
                started, cpu, written = time.perf_counter(), time.process_time(), 0
                for batch in _cut(documents, _REQUEST):
                    answer = await client.bulk(operations=[line for pair in batch for line in pair])
                    if answer["errors"]:
                        raise RuntimeError(str(answer["items"][0]))
                    written += len(batch)
                return Reading(written, time.perf_counter() - started, time.process_time() - cpu)

        return copy

    def _documents(self, group: Group) -> Iterator[tuple[Any, Any]]:
        index, routing = _index_of(group), group.shared.reference_prefix[-8:]
        self._make_index("copied", index)
        self._client.indices.refresh(index=index)
        wanted = {"bool": {"filter": [{"term": {"relation": "message"}}, {"term": {"group_id": group.group_id}}]}}
        after: dict[str, Any] = {}
        while True:
            answer = self._client.search(
                index=index, routing=routing, query=wanted, size=_READ, sort=[{"place": "asc"}], **after
            )
            hits = answer["hits"]["hits"]
            for hit in hits:
                yield _create(f"copied-{index}", hit["_id"], hit["_routing"]), hit["_source"]
            if not hits:
                return
            after = {"search_after": hits[-1]["sort"]}

    def _make(self, entries: Iterable[tuple[Group, dict[bytes, bytes]]]) -> Iterator[tuple[Any, Any]]:
        for group, message_id, change, applied in _made(entries):
            shared = group.shared
            fields = folded_fields(applied.head.folded) | shared_fields(shared, applied.head.tags)
            if change.record is not None:
                fields |= record_fields(change.record, applied)
            source = {name: _json(value) for name, value in fields.items() if value is not None}
            yield _create(f"made-{_index_of(group)}", message_id, shared.reference_prefix[-8:]), source

    def _make_index(self, prefix: str, index: str) -> None:
        name = f"{prefix}-{index}"
        if self._client.indices.exists(index=name):
            return
        found = self._client.indices.get(index=index)[index]
        names = ("number_of_shards", "number_of_replicas", "codec", "refresh_interval", "sort")
        of_index = found["settings"]["index"]
        settings = {each: of_index[each] for each in names if each in of_index}
        self._client.indices.create(index=name, mappings=found["mappings"], settings=settings)


def _entries(groups: Iterable[Group]) -> list[tuple[Group, dict[bytes, bytes]]]:
    return [(group, entry) for group in groups for entry in group.entries()]


def _made(entries: Iterable[tuple[Group, dict[bytes, bytes]]]) -> Iterator[tuple[Group, str, Change, Applied]]:
    """The messages of entries as new documents."""
    for group, entry in entries:
        for message_id, change in collect(unpack_outcome(entry)).items():
            applied = apply(message_id, change, None, group.accepted_ms)
            if applied is not None:
                yield group, message_id, change, applied


def _insert(to: sqlite3.Connection, messages: Sequence[Any], words: Sequence[Any], tags: Sequence[Any]) -> None:
    to.executemany(f"INSERT INTO messages VALUES ({_marks(messages[0])})", messages)  # noqa: S608  marks
    to.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)
    to.executemany("INSERT INTO tags VALUES (?, ?)", [each for several in tags for each in several])


def _index_of(group: Group) -> str:
    prefix = group.shared.reference_prefix
    return f"morpheus-{prefix[:4]}-{prefix[4:6]}"


def _create(index: str, id_: str, routing: str) -> dict[str, Any]:
    return {"create": {"_index": index, "_id": id_, "routing": routing}}


def _json(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


def _marks(row: Sequence[object]) -> str:
    return ", ".join("?" * len(row))


def _cut(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
