"""Elements on their way into the queue: appended in calls of at most 500 and 1 MiB."""

from __future__ import annotations

from morpheus_kit.queue.scripts import Queue
from morpheus_kit.wire import MAX_CHUNK_BYTES, MAX_CHUNK_RECIPIENTS


class Staging:
    """One upload's list; what is never committed goes away by itself."""

    def __init__(self, queue: Queue, part: str, request_id: str) -> None:
        """`request_id` is this upload's own."""
        self.request_id = request_id
        self.count = 0
        self._queue = queue
        self._part = part
        self._waiting: list[bytes] = []
        self._bytes = 0

    @property
    def total(self) -> int:
        """Elements so far, those that still wait here included."""
        return self.count + len(self._waiting)

    async def add(self, elements: list[bytes]) -> None:
        """Appends in posting order."""
        for element in elements:
            if self._waiting and (
                self._bytes + len(element) > MAX_CHUNK_BYTES or len(self._waiting) == MAX_CHUNK_RECIPIENTS
            ):
                await self.flush()
            self._waiting.append(element)
            self._bytes += len(element)

    async def flush(self) -> None:
        """Sends what still waits here."""
        if not self._waiting:
            return
        await self._queue.stage(self._part, self.request_id, self._waiting, self.count)
        self.count += len(self._waiting)
        self._waiting, self._bytes = [], 0
