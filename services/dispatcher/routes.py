"""Which provider a method goes to, with its waits and the room that it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from morpheus_kit.clock import Clock
from morpheus_kit.queue.pacing import Pace
from services.dispatcher.providers.absent import AbsentProvider
from services.dispatcher.providers.base import CanLookUp, Provider
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


class Outlet:
    """A provider with its room and its rest: one, however many methods lead to it."""

    def __init__(self, provider: Provider, clock: Clock, pace: Pace | None = None) -> None:
        """`pace`: what its account may do, shared with other dispatchers; None: anything."""
        self.provider = provider
        self.pace = pace
        self.can_look_up = isinstance(provider, CanLookUp)
        self.slots = Slots(provider.concurrency)
        self.sent = 0
        """Messages that it took and that its pace was not yet told of."""
        self._clock = clock
        self._rests_until = 0.0

    def rest(self, seconds: float) -> None:
        """Is given nothing for a while."""
        self._rests_until = self._clock.monotonic() + seconds

    @property
    def rests(self) -> bool:
        """Whether it is given nothing now."""
        return self._clock.monotonic() < self._rests_until


class Route:
    """One method, or one of the providers that a method may go to."""

    def __init__(
        self, method: str, provider: Provider, waits: Waits, clock: Clock, *, outlet: Outlet | None = None
    ) -> None:
        self.method = method
        self.waits = waits
        self.outlet = outlet or Outlet(provider, clock)
        self._clock = clock
        self.choices: Sequence[Route] = (self,)
        """All of the method, in the order of preference."""
        self.turn = asyncio.Lock()
        """Held by the lane that asks the queue for messages: more of them asking would find no more."""
        self._seconds = 0.0
        """What one message of a lane took lately."""

    @property
    def provider(self) -> Provider:
        """Where the messages go."""
        return self.outlet.provider

    @property
    def slots(self) -> Slots:
        """The room of the provider."""
        return self.outlet.slots

    def rest(self, seconds: float) -> None:
        """Takes nothing for a while."""
        self.outlet.rest(seconds)

    @property
    def rests(self) -> bool:
        """Whether it takes nothing now: its provider rests, or one before it works."""
        return self.outlet.rests or not self.chosen

    @property
    def chosen(self) -> bool:
        """Whether it is the first of its method that works; the first of all when none does."""
        return next((each for each in self.choices if not each.outlet.rests), self.choices[0]) is self

    def to(self, provider: str) -> Route | None:
        """The choice of the same method that leads to this provider."""
        return next((each for each in self.choices if each.provider.name == provider), None)

    def without(self, provider: str) -> Route:
        """Where messages go that only this provider may get, when it is not among the choices any more."""
        return Route(self.method, AbsentProvider(provider), self.waits, self._clock)

    def consumer(self, name: str) -> str:
        """`name`, in a form that tells the provider of a mark where the method alone does not."""
        return f"{name}@{self.provider.name}" if len(self.choices) > 1 else name

    def provider_of(self, mark: str) -> str:
        """Where the sender that wrote this mark was sending."""
        return mark.partition(" ")[0].partition("@")[2] or self.provider.name

    def note(self, messages: int, seconds: float) -> None:
        """A batch of a lane took so long, waiting for its turn included."""
        each = seconds / messages
        self._seconds = each if not self._seconds else 0.8 * self._seconds + 0.2 * each

    def allowance(self, most: int, seconds: float) -> int:
        """How many messages a lane can start within `seconds`, from what was seen so far."""
        if not self._seconds:
            return min(most, self.provider.concurrency)
        return max(1, min(most, int(seconds / self._seconds)))


def choices(method: str, outlets: Sequence[Outlet], waits: Waits, clock: Clock) -> list[Route]:
    """A method that goes to the first of several providers that works."""
    routes = [Route(method, outlet.provider, waits, clock, outlet=outlet) for outlet in outlets]
    for route in routes:
        route.choices = routes
    return routes
