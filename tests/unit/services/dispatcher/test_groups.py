"""The groups that a dispatcher remembers: the latest, and no more of them than fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from morpheus_kit.queue.schema import VERSION, SharedInfo, pack
from morpheus_kit.queue.scripts import Queue
from services.dispatcher import groups
from services.dispatcher.groups import Groups, pack_pins


class Hashes:
    """Group hashes, each with a context of `size` bytes, and how often each was read whole."""

    def __init__(self, size: int) -> None:
        self.keys = SimpleNamespace(partition=0)
        self.reads: list[str] = []
        self.versions = pack_pins({"a.html": "1"})
        self._size = size

    async def group_state(self, name: str) -> dict[str, bytes]:
        self.reads.append(name)
        context = msgspec.Raw(msgspec.msgpack.encode({"x": "y" * self._size}))
        shared = SharedInfo(VERSION, "acme", name.split("/")[1], "test", "test", "a.html", context=context)
        return {"shared": pack(shared), "pins": self.versions}

    async def pins(self, part: str) -> bytes:
        return self.versions


async def get(known: Groups, hashes: Hashes, name: str) -> Any:
    return await known.get(cast("Queue", hashes), f"acme/{name}/0")


async def test_a_group_is_read_once_and_its_pins_each_time() -> None:
    known, hashes = Groups(), Hashes(10)
    assert (await get(known, hashes, "a")).content.versions == {"a.html": "1"}
    hashes.versions = pack_pins({"a.html": "2"})
    assert (await get(known, hashes, "a")).content.versions == {"a.html": "2"}
    assert hashes.reads == ["acme/a"]


async def test_the_least_used_make_room_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_MAX_GROUPS", 3)
    monkeypatch.setattr(groups, "_MAX_BYTES", 5_000)
    for size, kept in ((10, "bcd"), (2_000, "cd"), (9_000, "d")):
        known, hashes = Groups(), Hashes(size)
        for name in "abcd":
            await get(known, hashes, name)
        hashes.reads.clear()
        for name in kept:
            await get(known, hashes, name)
        assert hashes.reads == []
        await get(known, hashes, "a")
        assert hashes.reads == ["acme/a"]
