"""Which provider a method goes to, with its waits and the room that it has left."""

from __future__ import annotations

import asyncio

from morpheus_kit.clock import Clock
from services.dispatcher.providers.base import Provider
from services.dispatcher.verdicts import Waits


class Slots:
    """Room for `total` messages at the same time, given out in the order of asking."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._freed = asyncio.Condition()

    async def acquire(self, wanted: int) -> int:
        """At least one and at most `wanted`; waits while there are none."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._free > 0)
            given = min(self._free, wanted)
            self._free -= given
            return given

    async def release(self, count: int) -> None:
        """Gives them back."""
        async with self._freed:
            self._free += count
            self._freed.notify_all()


class Route:
    """One method."""

    def __init__(self, method: str, provider: Provider, waits: Waits, clock: Clock) -> None:
        self.method = method
        self.provider = provider
        self.waits = waits
        self.slots = Slots(provider.concurrency)
        self._clock = clock
        self._rests_until = 0.0
        self._seconds = 0.0
        """What one message of a lane took lately."""

    def rest(self, seconds: float) -> None:
        """Takes nothing for this method for a while."""
        self._rests_until = self._clock.monotonic() + seconds

    @property
    def rests(self) -> bool:
        """Whether it takes nothing now."""
        return self._clock.monotonic() < self._rests_until

    def note(self, messages: int, seconds: float) -> None:
        """A batch of a lane took so long, waiting for its turn included."""
        each = seconds / messages
        self._seconds = each if not self._seconds else 0.8 * self._seconds + 0.2 * each

    def allowance(self, most: int, seconds: float) -> int:
        """How many messages a lane can start within `seconds`, from what was seen so far."""
        if not self._seconds:
            return min(most, self.provider.concurrency)
        return max(1, min(most, int(seconds / self._seconds)))
