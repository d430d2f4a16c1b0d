"""Waiting for what there is little of: whoever asks most does not keep the others waiting."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items for owners in turn: each has one before any has a second, however many of its calls wait.

    Of items that lie idle the one that was used last is taken first, since its memory is warm.
    """

    def __init__(self) -> None:
        self._idle: list[T] = []
        self._waiting: OrderedDict[str, deque[asyncio.Future[T]]] = OrderedDict()

    async def get(self, owner: str) -> T:
        """An item; waits for one where there is none."""
        if self._idle:
            return self._idle.pop()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.put(future.result())  # it came at the same moment
            raise

    def put(self, item: T) -> None:
        """Gives an item to the owner whose turn it is, or lays it by."""
        while self._waiting:
            owner, futures = self._waiting.popitem(last=False)
            future = futures.popleft()
            if futures:
                self._waiting[owner] = futures  # behind the others
            if not future.done():
                future.set_result(item)
                return
        self._idle.append(item)

    def take_idle(self) -> list[T]:
        """All items that nobody uses, taken out."""
        taken, self._idle = self._idle, []
        return taken
