"""The groups that a dispatcher remembers: the latest, and no more of them than fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from morpheus_kit.queue.schema import VERSION, QueuedMessage, SharedInfo, pack
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.unsubscribe import UnsubscribeLinks
from services.dispatcher import groups
from services.dispatcher.groups import Groups, make_group, pack_pins


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


MESSAGE = QueuedMessage(VERSION, "0b9f60f5-7d64-5c1e-a9a3-5a1f6f7c2d11", 0, 0, 0, "ada@example.org")


def newsletter(*, unsubscribe: bool = True) -> SharedInfo:
    prefix = "202611-000-0a1b2c3d"
    return SharedInfo(
        *(VERSION, "acme", "g", "test", "test", "a.html"),
        outer_template="o.html",
        from_address="a@example.org",
        stream="newsletter",
        reference_prefix=prefix,
        unsubscribe=unsubscribe,
    )


def test_only_messages_of_a_group_with_links_have_one_of_their_own() -> None:
    links = UnsubscribeLinks("a secret of some length", "https://mail.example.com")
    url = make_group("acme/g", newsletter(), links).unsubscribe_url(MESSAGE)
    link = links.read(url.removeprefix("https://mail.example.com/u/"))
    assert (link.company, link.stream, link.reference) == ("acme", "newsletter", f"202611-000-0a1b2c3d-{MESSAGE.id}")
    assert make_group("acme/g", newsletter(unsubscribe=False), links).unsubscribe_url(MESSAGE) == ""


def test_nothing_of_a_group_with_links_is_written_where_nobody_knows_the_public_url() -> None:
    group = make_group("acme/g", newsletter())
    assert group.composer is None
    assert "MORPHEUS_PUBLIC_URL" in group.why_not
    assert make_group("acme/g", newsletter(unsubscribe=False)).composer is not None
