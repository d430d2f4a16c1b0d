"""Pinned versions, as a renderer that has just started finds them: nothing of them is in its cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from morpheus_kit.blobs import TemplateStore, open_store
from morpheus_kit.clock import ManualClock, SystemClock
from morpheus_kit.errors import TemplateChangedError, UnavailableError
from services.renderer.analysis import compile_template
from services.renderer.catalog import Catalog
from services.renderer.frames import Compile, Compiled
from services.renderer.shared_cache import OwnedCache
from tests.s3.gateway import Bucket, Proxy


async def compiled(path: str, source: bytes) -> Compiled:
    """As a worker does it."""
    return compile_template(Compile(path, source))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[OwnedCache]:
    fresh = OwnedCache.create(tmp_path)
    yield fresh
    fresh.remove()


@pytest.fixture
async def store(proxy: Proxy, versioned: Bucket, plain: Bucket) -> AsyncIterator[TemplateStore]:
    store = open_store(f"s3://{versioned.name}", buckets=[plain.name], endpoint_url=proxy.url)
    await store.start()
    yield store
    await store.stop()


async def test_group_goes_on_with_its_versions_after_templates_were_edited(
    store: TemplateStore, versioned: Bucket, cache: OwnedCache
) -> None:
    await versioned.put("t", "old")
    version = (await store.read("t", 100)).version
    await versioned.put("t", "new")
    await versioned.delete("t")
    await Catalog(store, cache, compiled, SystemClock(), 0.0).ensure({"t": version})
    assert cache.has("t", version)


async def test_template_is_sent_once_and_then_asked_for_by_its_etag_after_the_time_to_live(
    store: TemplateStore, proxy: Proxy, versioned: Bucket, cache: OwnedCache
) -> None:
    await versioned.put("t", "{% include 'u' %}")
    await versioned.put("u", "old")
    clock, made = ManualClock(), []

    async def compiler(path: str, source: bytes) -> Compiled:
        made.append(path)
        return await compiled(path, source)

    def asked() -> list[tuple[str, bool, int]]:
        seen = [(request.key, bool(request.condition), request.status) for request in proxy.seen if request.key]
        proxy.seen.clear()
        return sorted(seen)

    catalog = Catalog(store, cache, compiler, clock, 5.0)
    first = await catalog.warm(["t"])
    for _ in range(3):
        assert await catalog.warm(["t"]) == first
        await catalog.ensure(first)
    assert asked() == [("t", False, 200), ("u", False, 200)]
    clock.advance(5)
    assert await catalog.warm(["t"]) == first
    assert asked() == [("t", True, 304), ("u", True, 304)]
    await versioned.put("u", "new")
    clock.advance(5)
    assert await catalog.warm(["t"]) != first
    assert asked() == [("t", True, 304), ("u", True, 200)]
    assert made == ["t", "u", "u"]


async def test_version_that_is_gone_pauses_the_group(
    store: TemplateStore, versioned: Bucket, plain: Bucket, cache: OwnedCache
) -> None:
    version_id = await versioned.put("t", "old")
    await plain.put("p", "old")
    pins = {path: (await store.read(path, 100)).version for path in ("t", f"s3://{plain.name}/p")}
    await versioned.put("t", "new")
    await versioned.delete("t", version_id)
    await plain.put("p", "new")
    catalog = Catalog(store, cache, compiled, SystemClock(), 0.0)
    for path, version in pins.items():
        with pytest.raises(TemplateChangedError, match="was changed"):
            await catalog.ensure({path: version})
    await plain.delete("p")
    with pytest.raises(TemplateChangedError, match="is gone"):
        await catalog.ensure({f"s3://{plain.name}/p": pins[f"s3://{plain.name}/p"]})


async def test_copy_in_the_cache_outlives_a_store_without_versions(
    store: TemplateStore, plain: Bucket, cache: OwnedCache
) -> None:
    await plain.put("p", "old")
    path = f"s3://{plain.name}/p"
    version = (await store.read(path, 100)).version
    catalog = Catalog(store, cache, compiled, SystemClock(), 0.0)
    await catalog.ensure({path: version})
    await plain.put("p", "new")
    await catalog.ensure({path: version})
    assert cache.has(path, version)


async def test_store_that_is_away_is_not_a_change(
    store: TemplateStore, proxy: Proxy, versioned: Bucket, cache: OwnedCache
) -> None:
    await versioned.put("t", "old")
    version = (await store.read("t", 100)).version
    proxy.fault = "slow_down"
    with pytest.raises(UnavailableError, match="SlowDown"):
        await Catalog(store, cache, compiled, SystemClock(), 0.0).ensure({"t": version})
