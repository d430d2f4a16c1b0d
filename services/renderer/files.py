"""Attachments and what PDFs show, as the front reads them from the store: each once a group.

A group's messages share most of their files, and its slices are rendered one after another and side by side. What was
read is kept for the group for a minute, within KEPT_BYTES; who asks for a file that is being read waits for the same
answer. Another group asks the store itself, so that a file that was replaced is never the old one for a group
that came later.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from morpheus_kit.blobs import Blob, TemplateStore

KEPT_BYTES = 64 * 1024 * 1024
KEPT_SECONDS = 60.0
Place = tuple[str, str]


class GroupFiles:
    """Reads files for groups."""

    def __init__(self, store: TemplateStore, max_file: int) -> None:
        """`max_file`: most bytes of one file."""
        self._store = store
        self._max_file = max_file
        self._kept: OrderedDict[Place, tuple[float, Blob]] = OrderedDict()
        self._bytes = 0
        self._reading: dict[Place, asyncio.Lock] = {}

    async def read(self, group: str, path: str) -> Blob:
        """The file as `group` has it; raises what `TemplateStore.read` does. Errors are not kept."""
        place = (group, path)
        lock = self._reading.setdefault(place, asyncio.Lock())
        try:
            async with lock:
                found = self._get(place)
                if found is None:
                    found = await self._store.read(path, self._max_file)
                    self._put(place, found)
                return found
        finally:
            if not lock.locked():
                self._reading.pop(place, None)

    def _get(self, place: Place) -> Blob | None:
        since, blob = self._kept.get(place, (0.0, None))
        if blob is None or _now() - since > KEPT_SECONDS:
            return None
        self._kept.move_to_end(place)
        return blob

    def _put(self, place: Place, blob: Blob) -> None:
        if place in self._kept:
            self._bytes -= len(self._kept.pop(place)[1].content)
        self._kept[place] = (_now(), blob)
        self._bytes += len(blob.content)
        while self._bytes > KEPT_BYTES:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)


def _now() -> float:
    return asyncio.get_running_loop().time()
