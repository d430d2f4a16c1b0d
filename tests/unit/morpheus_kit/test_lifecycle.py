"""The order of starting and stopping, and its time limit."""

from __future__ import annotations

import asyncio
import time

import pytest

from morpheus_kit import lifecycle
from morpheus_kit.lifecycle import Part, Task, Unit


class Recorded:
    """A part that writes down what happens to it; `seconds` is how long it takes to stop."""

    def __init__(self, name: str, story: list[str], seconds: float = 0.0) -> None:
        self._name, self._story, self._seconds = name, story, seconds

    async def start(self) -> None:
        self._story.append(f"start {self._name}")

    async def stop(self) -> None:
        await asyncio.sleep(self._seconds)
        self._story.append(f"stop {self._name}")


async def test_parts_stop_in_reverse_order() -> None:
    story: list[str] = []
    stopping = asyncio.Event()
    stopping.set()
    await Unit("u", [Recorded("a", story), Recorded("b", story)]).serve(stopping)
    assert story == ["start a", "start b", "stop b", "stop a"]


async def test_all_parts_together_stop_within_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_LEAST_SECONDS", 0.01)
    story: list[str] = []
    stopping = asyncio.Event()
    stopping.set()
    parts: list[Part] = [Recorded("quick", story), *[Recorded("stuck", story, 60) for _ in range(10)]]
    began = time.monotonic()
    await Unit("u", parts, grace_seconds=2.0).serve(stopping)
    assert time.monotonic() - began < 10 * 2.0, "each part had a grace of its own"
    assert story[-1] == "stop quick"


async def test_a_part_that_dies_stops_the_unit_with_its_error() -> None:
    async def main(_: asyncio.Event) -> None:
        raise RuntimeError("dead")

    story: list[str] = []
    with pytest.raises(RuntimeError, match="dead"):
        await Unit("u", [Recorded("a", story), Task("t", main)]).serve(asyncio.Event())
    assert story[-1] == "stop a"
