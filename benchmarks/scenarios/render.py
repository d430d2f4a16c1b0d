"""What rendering costs a message: a real worker process with slices of 100, and each step by itself."""

from __future__ import annotations

import asyncio
import ctypes
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import psutil
from morpheus.renderer.v1 import renderer_pb2

from benchmarks import sample
from morpheus_kit.blobs import FolderStore
from morpheus_kit.clock import SystemClock
from services.renderer import compose, text
from services.renderer.catalog import Catalog
from services.renderer.files import GroupFiles
from services.renderer.pinned import TemplateSets
from services.renderer.pool import PoolLimits, WorkerPool
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import OwnedCache
from services.renderer.slices import SliceRunner

MESSAGES = 5_000
SLICE = 100
RUNS = 5


def measure() -> dict[str, Any]:
    """CPU µs a message: of the worker, of the front, of the steps alone."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        cache = OwnedCache.create(Path(folder))
        store = FolderStore(sample.TEMPLATES)
        pool = WorkerPool(cache, PoolLimits(workers=1, timeout=60, memory=1024**3, settings=RenderSettings()))
        await pool.start()
        try:
            catalog = Catalog(store, cache, pool.compile, SystemClock(), ttl=0)
            versions = await catalog.warm(["outer.html", "inner.html"])
            group = renderer_pb2.GroupContent(
                group_id="g",
                company_code=sample.COMPANY,
                outer_template="outer.html",
                inner_template="inner.html",
                subject_template=sample.SUBJECT,
                context=msgpack.packb(sample.SHARED_CONTEXT),
                versions=versions,
            )
            messages = [_message(index) for index in range(MESSAGES)]
            whole = await _processes(SliceRunner(pool, catalog, GroupFiles(store, 25_000_000)), group, messages)
            return whole | {"steps_us": _steps(cache, group, messages[:SLICE])}
        finally:
            await pool.stop()


def _message(index: int) -> renderer_pb2.MessageContent:
    fields = sample.recipient(index)
    return renderer_pb2.MessageContent(id=f"m{index}", **fields | {"context": msgpack.packb(fields["context"])})


async def _processes(
    runner: SliceRunner, group: renderer_pb2.GroupContent, messages: Sequence[renderer_pb2.MessageContent]
) -> dict[str, Any]:
    [worker] = psutil.Process().children()
    packed = [message.SerializeToString() for message in messages]
    readings = []
    for _ in range(RUNS):
        before, own = worker.cpu_times(), time.process_time()
        for first in range(0, len(packed), SLICE):
            async for _chunk in runner.run(group.SerializeToString(), packed[first : first + SLICE]):
                pass
        after = worker.cpu_times()
        spent = after.user + after.system - before.user - before.system
        readings.append((spent / len(packed) * 1e6, (time.process_time() - own) / len(packed) * 1e6))
    best = min(readings)
    return {
        "messages": len(packed),
        "worker_cpu_us_per_message": round(best[0], 1),
        "front_cpu_us_per_message": round(best[1], 1),
        "worker_rss_mib": round(worker.memory_info().rss / 2**20),
    }


def _steps(
    cache: OwnedCache, group: renderer_pb2.GroupContent, messages: Sequence[renderer_pb2.MessageContent]
) -> dict[str, float]:
    _keep_freed_memory()
    renderer = compose.GroupRenderer(group, TemplateSets(cache).get(group.versions, strict=True), RenderSettings())
    drafts = [compose.Draft(message) for message in messages]

    def templates() -> None:
        for draft in drafts:
            renderer.render(draft)

    templates()
    pages = [draft.html for draft in drafts]
    return {
        "templates": _each(templates),
        "text": _each(lambda: [text.text_of(page) for page in pages]),
        "inline_css": _each(lambda: [text.inline_css(page) for page in pages]),
    }


def _keep_freed_memory() -> None:
    """What workers have from their environment; only glibc knows it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((-1, 64), (-2, 16), (-3, 32)):  # trim threshold, top pad, mmap threshold
            mallopt(parameter, value * 1024 * 1024)


def _each(step: Callable[[], object]) -> float:
    """CPU µs a message, the least of many runs over one slice."""
    least = float("inf")
    for _ in range(50):
        started = time.process_time()
        step()
        least = min(least, time.process_time() - started)
    return round(least / SLICE * 1e6, 1)
