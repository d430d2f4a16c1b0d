"""Files of the store are read once a group, however many slices ask at the same time."""

from __future__ import annotations

import asyncio

import pytest

from morpheus_kit.blobs import Blob
from morpheus_kit.errors import NotFoundError
from services.renderer import files
from services.renderer.files import GroupFiles


class Store:
    """Counts reads; each takes a turn of the loop."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content: dict[str, bytes] = {}

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:
        self.asked.append(path)
        await asyncio.sleep(0)
        if path not in self.content:
            raise NotFoundError(f"{path} is not there.")
        return Blob(self.content[path], "v")


@pytest.fixture
def store() -> Store:
    return Store()


async def test_all_who_ask_at_once_and_later_share_one_read(store: Store) -> None:
    store.content["a"] = b"x"
    group = GroupFiles(store, 9)  # type: ignore[arg-type]  # only reads are asked for
    found = await asyncio.gather(*[group.read("g", "a") for _ in range(20)])
    assert {blob.content for blob in found} == {b"x"}
    assert (await group.read("g", "a")).content == b"x"
    assert store.asked == ["a"]
    assert not group._reading


async def test_another_group_sees_what_was_replaced(store: Store) -> None:
    store.content["a"] = b"old"
    group = GroupFiles(store, 9)  # type: ignore[arg-type]
    await group.read("g", "a")
    store.content["a"] = b"new"
    assert (await group.read("h", "a")).content == b"new"
    assert (await group.read("g", "a")).content == b"old"


async def test_missing_file_is_looked_for_again(store: Store) -> None:
    group = GroupFiles(store, 9)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await group.read("g", "a")
    store.content["a"] = b"x"
    assert (await group.read("g", "a")).content == b"x"


async def test_what_is_kept_is_bounded_and_grows_old(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "KEPT_BYTES", 25)
    store.content |= {name: bytes(10) for name in "abc"} | {"big": bytes(30)}
    group = GroupFiles(store, 99)  # type: ignore[arg-type]
    for name in "abca":
        await group.read("g", name)
    assert store.asked == ["a", "b", "c", "a"]
    assert group._bytes == 20
    await group.read("g", "big")
    assert group._bytes == 0
    await group.read("g", "a")
    monkeypatch.setattr(files, "KEPT_SECONDS", -1.0)
    await group.read("g", "a")
    assert store.asked[-3:] == ["big", "a", "a"]
    assert group._bytes == 10
