"""Sends a fake's webhooks, each once: what does not arrive is recorded and never repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from fakes.records import Delivery, Records

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Post:
    """One webhook, signed and ready to send."""

    url: str
    body: bytes
    headers: dict[str, str]
    kinds: list[str] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to a message, in the provider's own form."""

    kind: str
    message_id: str
    body: dict[str, object]
    url: str = ""
    """Where this message wants it, when the provider lets a message say so."""


class Courier:
    """Turns occurrences into posts in the order in which they happened; up to `batch` in one post."""

    def __init__(self, records: Records, pack: Callable[[list[Occurrence]], list[Post]], *, batch: int = 1) -> None:
        self._records = records
        self._pack = pack
        self._batch = batch
        self._queue: asyncio.Queue[Occurrence] = asyncio.Queue()
        self._client: aiohttp.ClientSession | None = None
        self._runner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        # Owned by this object: it lives from start to stop, which no block of code spans.
        self._runner = asyncio.create_task(self._run(), name="courier")

    async def stop(self) -> None:
        """What has not been sent is dropped."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        if self._client is not None:
            await self._client.close()

    def put(self, occurrences: list[Occurrence]) -> None:
        """Send these soon."""
        for occurrence in occurrences:
            self._queue.put_nowait(occurrence)

    async def send_now(self, occurrences: list[Occurrence]) -> None:
        """Send these before going on."""
        for post in self._pack(occurrences):
            await self._send(post)

    async def settled(self, timeout: float = 10.0) -> None:
        """All that has been put is sent. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._queue.join()

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self.send_now(batch)
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _send(self, post: Post) -> None:
        if self._client is None:
            return
        delivery = Delivery(self._records.clock(), post.url, post.kinds, post.message_ids)
        self._records.add_delivery(delivery)
        try:
            async with self._client.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as response:
                await response.read()
                delivery.status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            delivery.error = f"{type(error).__name__}: {error}"
