"""A lane whose question was not answered asks the same again; holdings forget what is empty."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from morpheus_kit.clock import SystemClock
from morpheus_kit.errors import UnavailableError
from morpheus_kit.queue.scripts import Queue, Taken
from services.dispatcher import sender
from services.dispatcher.holdings import Holdings
from services.dispatcher.pauses import Wake
from services.dispatcher.providers.base import Provider
from services.dispatcher.routes import Route
from services.dispatcher.sender import Lane, LaneLimits, SliceHandler
from services.dispatcher.slices import Source
from services.dispatcher.verdicts import Waits


class Silent:
    """A queue that answers only every third question."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.keys = SimpleNamespace(partition=0)
        self.nonces: list[str] = []
        self._stopping = stopping

    async def take(self, consumer: str, nonce: str, methods: list[str], count: int, outcomes_limit: int) -> Taken:
        self.nonces.append(nonce)
        if len(self.nonces) == 6:
            self._stopping.set()
        if len(self.nonces) % 3:
            raise UnavailableError
        return Taken("idle", [], 0)


def route() -> Route:
    provider = cast("Provider", SimpleNamespace(name="test", concurrency=10))
    return Route("test", provider, Waits((1.0,), 1.0), SystemClock())


async def test_a_take_without_an_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_ERROR_SECONDS", 0.001)
    stopping = asyncio.Event()
    queue = Silent(stopping)
    handler: Any = cast("SliceHandler", None)
    lane = Lane("c", [cast("Queue", queue)], route(), handler, Holdings(1), Wake(), LaneLimits(10, 1.0, 10))
    await lane.run(stopping)
    first, second = queue.nonces[:3], queue.nonces[3:]
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


def test_holdings_forget_names_that_hold_nothing() -> None:
    holdings = Holdings(1)
    for number in range(3):
        source = Source(cast("Queue", None), route(), "normal", f"consumer-{number}")
        holdings.add(source, ["1-1", "1-2"])
        holdings.drop(source, ["1-1"])
        assert len(holdings._entries) == 1
        holdings.drop(source, ["1-2", "1-3"])
        holdings.drop(source, ["1-2"])
    assert not holdings._entries
