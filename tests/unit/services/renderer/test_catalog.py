"""How often the store is asked, and how often a template is compiled."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from morpheus_kit.blobs import Blob
from morpheus_kit.clock import ManualClock
from morpheus_kit.errors import NotFoundError
from services.renderer.analysis import compile_template
from services.renderer.catalog import Catalog, TemplateFailureError
from services.renderer.frames import Compile, Compiled
from services.renderer.shared_cache import OwnedCache

TTL = 5.0


class CountingStore:
    """Templates in a dictionary; notes what it is asked."""

    def __init__(self, **templates: str) -> None:
        self.templates = templates
        self.asked: list[str] = []

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:
        """Lets others run, as a network does."""
        assert limit
        self.asked.append(path)
        await asyncio.sleep(0)
        if path not in self.templates:
            raise NotFoundError(f"{path} is not there.")
        content = self.templates[path].encode()
        return Blob(content, hashlib.sha256(content).hexdigest())

    async def list(self, prefix: str, limit: int) -> list[str]:
        """What begins with `prefix`."""
        assert limit
        self.asked.append(f"{prefix}*")
        return [path for path in self.templates if path.startswith(prefix)]


class Setting:
    """A catalog over a counting store, with a compiler that counts."""

    def __init__(self, cache: OwnedCache, **templates: str) -> None:
        self.cache = cache
        self.clock = ManualClock()
        self.store = CountingStore(**templates)
        self.compiled: list[str] = []
        store: Any = self.store
        self.catalog = Catalog(store, cache, self._compile, self.clock, TTL)

    async def _compile(self, path: str, source: bytes) -> Compiled:
        self.compiled.append(path)
        await asyncio.sleep(0)
        return compile_template(Compile(path, source))


async def test_version_is_read_and_compiled_once_however_many_ask(cache: OwnedCache) -> None:
    setting = Setting(cache, a="{% include 'b' %}", b="x")
    warmed = await asyncio.gather(*[setting.catalog.warm(["a"]) for _ in range(8)])
    await asyncio.gather(*[setting.catalog.ensure(warmed[0]) for _ in range(8)])
    assert all(versions == warmed[0] for versions in warmed)
    assert [path for path in setting.store.asked if "*" not in path] == ["a", "b"]
    assert setting.compiled == ["a", "b"]


async def test_pinned_version_is_read_once_by_those_who_render_it(cache: OwnedCache) -> None:
    setting = Setting(cache, a="x")
    versions = {"a": hashlib.sha256(b"x").hexdigest()}
    await asyncio.gather(*[setting.catalog.ensure(versions) for _ in range(8)])
    assert (setting.store.asked, setting.compiled) == (["a"], ["a"])


async def test_store_is_asked_again_after_the_time_to_live_only(cache: OwnedCache) -> None:
    setting = Setting(cache, a="old")
    first = await setting.catalog.warm(["a"])
    setting.store.asked.clear()
    setting.store.templates["a"] = "new"
    setting.clock.advance(TTL - 1)
    assert await setting.catalog.warm(["a"]) == first
    assert setting.store.asked == []
    setting.clock.advance(1)
    assert await setting.catalog.warm(["a"]) != first
    assert "a" in setting.store.asked
    assert setting.compiled == ["a", "a"]


async def test_same_content_after_the_time_to_live_is_not_compiled_again(cache: OwnedCache) -> None:
    setting = Setting(cache, a="x")
    await setting.catalog.warm(["a"])
    setting.clock.advance(TTL)
    await setting.catalog.warm(["a"])
    assert setting.compiled == ["a"]


async def test_one_who_gives_up_does_not_fail_the_others(cache: OwnedCache) -> None:
    setting = Setting(cache, a="x")
    first, second = (asyncio.create_task(setting.catalog.warm(["a"])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert list(await second) == ["a"]


async def test_broken_version_is_compiled_once_and_named_each_time(cache: OwnedCache) -> None:
    setting = Setting(cache, a="{% if %}")
    for _ in range(2):
        with pytest.raises(TemplateFailureError, match="a, line 1"):
            await setting.catalog.warm(["a"])
    assert setting.compiled == ["a"]


async def test_version_over_which_workers_died_is_tried_again(
    cache: OwnedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = Setting(cache, a="x")

    async def die(path: str, source: bytes) -> Compiled:
        return Compiled(code="template_invalid", text=f"compiling {path} takes too long", died=True)

    with monkeypatch.context() as patch:
        patch.setattr(setting.catalog, "_compile", die)
        for _ in range(2):
            with pytest.raises(TemplateFailureError, match="takes too long"):
                await setting.catalog.warm(["a"])
    assert list(await setting.catalog.warm(["a"])) == ["a"]


async def test_missing_template_is_asked_for_each_time(cache: OwnedCache) -> None:
    setting = Setting(cache)
    with pytest.raises(TemplateFailureError, match="a is not in the template store"):
        await setting.catalog.warm(["a"])
    setting.store.templates["a"] = "x"
    setting.clock.advance(TTL)
    assert list(await setting.catalog.warm(["a"])) == ["a"]


async def test_lost_file_is_made_again(cache: OwnedCache) -> None:
    setting = Setting(cache, a="x")
    versions = await setting.catalog.warm(["a"])
    for file in (cache.folder / "templates").iterdir():
        file.unlink()
    await setting.catalog.replace(versions)
    assert cache.load("a", versions["a"]) is not None
