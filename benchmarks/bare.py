"""What the record stores are compared with: a bare bulk loop of the very documents that the tracker has written.

Each loop copies them out of the tracker's store first; only then its clock runs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from elasticsearch import AsyncElasticsearch, Elasticsearch

from benchmarks.archive import Group
from morpheus_kit import ids
from services.tracker.documents import searchable
from services.tracker.store.bodies import SELECT, unpack_body
from services.tracker.store.schema import connect_writer, migrate
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
    """One such loop."""

    def prepare(self, groups: Sequence[Group]) -> Copy:
        """Reads the messages of `groups`; what it returns writes them once more."""
        ...

    def close(self) -> None:
        """At the end."""
        ...


class BareSqlite:
    """`executemany` into a file of the same tables and settings."""

    def __init__(self, records: Path, folder: Path) -> None:
        """`records` is the tracker's file."""
        self._from = sqlite3.connect(f"file:{records}?mode=ro", uri=True)
        self._to = connect_writer(folder / "bare.db")
        migrate(self._to)

    def prepare(self, groups: Sequence[Group]) -> Copy:
        """Finished rows of messages, bodies, words and tags."""
        rows = [row for group in groups for row in self._rows(group)]

        async def copy() -> Reading:
            started, cpu = time.perf_counter(), time.process_time()
            for batch in _cut(rows, _TRANSACTION):
                self._insert(batch)
            return Reading(len(rows), time.perf_counter() - started, time.process_time() - cpu)

        return copy

    def close(self) -> None:
        """Closes both files."""
        self._from.close()
        self._to.close()

    def _insert(self, batch: Sequence[tuple[Any, ...]]) -> None:
        messages, bodies, words, tags = zip(*batch, strict=True)
        self._to.execute("BEGIN IMMEDIATE")
        self._to.executemany(f"INSERT INTO messages VALUES ({_marks(messages[0])})", messages)  # noqa: S608  marks
        self._to.executemany(f"INSERT INTO bodies VALUES ({_marks(bodies[0])})", bodies)  # noqa: S608  marks
        self._to.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)
        self._to.executemany("INSERT INTO tags VALUES (?, ?)", [each for several in tags for each in several])
        self._to.execute("COMMIT")

    def _rows(self, group: Group) -> Iterator[tuple[Any, ...]]:
        uuid = bytes.fromhex(ids.group_uuid(group.company, group.group_id).replace("-", ""))
        sql = "SELECT m.head, m.* FROM messages m WHERE group_n = (SELECT n FROM groups WHERE uuid = ?) ORDER BY n"
        for packed, n, *rest in self._from.execute(sql, (uuid,)):
            head = head_decoder.decode(packed)
            body = self._from.execute("SELECT * FROM bodies WHERE n = ?", (n,)).fetchone()
            text = unpack_body(*self._from.execute(SELECT, (n,)).fetchone()).text
            yield (n, *rest), body, (n, distinct_words(searchable(head, text))), [(tag, n) for tag in head.tags]


class BareElasticsearch:
    """The official client's `bulk` into indices of the same mappings and settings, `bare-…`."""

    def __init__(self, url: str) -> None:
        """`url` is the tracker's cluster."""
        self._url = url
        self._client = Elasticsearch(url, request_timeout=60)

    def prepare(self, groups: Sequence[Group]) -> Copy:
        """Finished documents, as dictionaries."""
        operations = [each for group in groups for each in self._operations(group)]

        async def copy() -> Reading:
            async with AsyncElasticsearch(self._url, request_timeout=60) as client:
                await client.info()
                started, cpu = time.perf_counter(), time.process_time()
                for batch in _cut(operations, 2 * _REQUEST):
                    answer = await client.bulk(operations=batch)
                    if answer["errors"]:
                        raise RuntimeError(str(answer["items"][0]))
                return Reading(len(operations) // 2, time.perf_counter() - started, time.process_time() - cpu)

        return copy

    def close(self) -> None:
        """Closes the connection for reading."""
        self._client.close()

    def _operations(self, group: Group) -> Iterator[dict[str, Any]]:
        prefix = group.shared.reference_prefix
        index, routing = f"morpheus-{prefix[:4]}-{prefix[4:6]}", prefix[-8:]
        self._make(index)
        self._client.indices.refresh(index=index)
        wanted = {"bool": {"filter": [{"term": {"relation": "message"}}, {"term": {"group_id": group.group_id}}]}}
        after: dict[str, Any] = {}
        while True:
            answer = self._client.search(
                index=index, routing=routing, query=wanted, size=_READ, sort=[{"place": "asc"}], **after
            )
            hits = answer["hits"]["hits"]
            for hit in hits:
                yield {"create": {"_index": f"bare-{index}", "_id": hit["_id"], "routing": hit["_routing"]}}
                yield hit["_source"]
            if not hits:
                return
            after = {"search_after": hits[-1]["sort"]}

    def _make(self, index: str) -> None:
        if self._client.indices.exists(index=f"bare-{index}"):
            return
        found = self._client.indices.get(index=index)[index]
        names = ("number_of_shards", "number_of_replicas", "codec", "refresh_interval", "sort")
        of_index = found["settings"]["index"]
        settings = {name: of_index[name] for name in names if name in of_index}
        self._client.indices.create(index=f"bare-{index}", mappings=found["mappings"], settings=settings)


def _marks(row: Sequence[object]) -> str:
    return ", ".join("?" * len(row))


def _cut(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
