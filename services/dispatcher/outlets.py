"""The providers as an operator sees and switches them: one list, whichever methods lead to each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import NotFoundError, UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.pacing import Pace
from morpheus_kit.reasons import TEXTS, ReasonCode
from services.dispatcher.routes import Outlet

log = logs.get_logger(__name__)
_COUNT_SECONDS = 1.0


class Seen(NamedTuple):
    """A provider: `state` is running, paused or open; `rate`: messages a second in the last minute."""

    name: str
    state: str
    reason_code: str
    reason_text: str
    rate: float


class Outlets:
    """Those whose account has a pace; what is done to one holds for all dispatchers."""

    def __init__(self, outlets: Iterable[Outlet], clock: Clock) -> None:
        """`outlets` in the order in which they are listed; one that is there twice counts once."""
        self._outlets = {each.provider.name: each for each in outlets if each.pace}
        self._clock = clock

    async def list(self) -> list[Seen]:
        """All. UnavailableError."""
        await self._count()
        return list(await asyncio.gather(*[self._see(name) for name in self._outlets]))

    async def pause(self, name: str, key_id: str) -> Seen:
        """Nothing more goes to it until it is resumed. NotFoundError, UnavailableError."""
        await self._pace(name).pause(f"Paused by key {key_id} at {self._clock.now():%Y-%m-%dT%H:%M:%SZ}.")
        return await self._see(name)

    async def resume(self, name: str) -> Seen:
        """What holds it back is forgotten, and found out anew if it is still so. NotFoundError, UnavailableError."""
        await self._pace(name).resume()
        self._outlets[name].rest(0.0)
        return await self._see(name)

    async def run(self, stopping: asyncio.Event) -> None:
        """Tells each second what was sent, for the rate; what is not told for an outage is told after it."""
        while not stopping.is_set():
            await pause(stopping, _COUNT_SECONDS)
            try:
                await self._count()
            except UnavailableError as exc:
                log.warning("rates_not_told", error=exc.message)

    async def _count(self) -> None:
        for name, outlet in self._outlets.items():
            sent, outlet.sent = outlet.sent, 0
            try:
                if sent:
                    await self._pace(name).count(sent)
            except UnavailableError:
                outlet.sent += sent
                raise

    async def _see(self, name: str) -> Seen:
        found = await self._pace(name).read()
        if found.state == "running":
            return Seen(name, found.state, "", "", found.rate)
        code = ReasonCode.PROVIDER_UNAVAILABLE
        if found.state == "paused":
            code = ReasonCode.PROVIDER_PAUSED if found.by_hand else ReasonCode.PROVIDER_ACCOUNT
        return Seen(name, found.state, code, found.words or TEXTS[code], found.rate)

    def _pace(self, name: str) -> Pace:
        outlet = self._outlets.get(name)
        if outlet is None or outlet.pace is None:
            raise NotFoundError("There is no such provider.")
        return outlet.pace
