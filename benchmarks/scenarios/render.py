"""What rendering costs an email: a real worker process with slices of 100, beside a bare loop; each step by itself."""

from __future__ import annotations

import asyncio
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgpack
import psutil
from morpheus.renderer.v1 import renderer_pb2

from benchmarks import sample
from benchmarks.bare_render import MESSAGES
from morpheus_kit.blobs import FolderStore
from morpheus_kit.clock import SystemClock
from services.renderer import compose, text
from services.renderer.catalog import Catalog
from services.renderer.files import GroupFiles
from services.renderer.pinned import TemplateSets
from services.renderer.pool import ALLOCATOR, PoolLimits, WorkerPool
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import OwnedCache
from services.renderer.slices import SliceRunner

SLICE = 100
RUNS = 9


def measure() -> dict[str, Any]:
    """CPU µs a message of worker, front and bare loop, and their ratio; of the steps alone."""
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
            whole = await _rounds(SliceRunner(pool, catalog, GroupFiles(store, 25_000_000)), group, messages)
            return whole | {"steps_us": _steps(cache, group, messages[:SLICE])}
        finally:
            await pool.stop()


def _message(index: int) -> renderer_pb2.MessageContent:
    fields = sample.recipient(index)
    return renderer_pb2.MessageContent(id=f"m{index}", **fields | {"context": msgpack.packb(fields["context"])})


async def _rounds(
    runner: SliceRunner, group: renderer_pb2.GroupContent, messages: Sequence[renderer_pb2.MessageContent]
) -> dict[str, Any]:
    """Worker and front in turn with the two bare loops, so that what else the machine does meets all alike."""
    [worker] = psutil.Process().children()
    packed = [message.SerializeToString() for message in messages]
    with BareLoop() as bare, BareLoop(ALLOCATOR) as tuned:
        rounds: list[dict[str, float]] = []
        for _ in range(1 + RUNS):  # the first warms up
            before, own = worker.cpu_times(), time.process_time()
            for first in range(0, len(packed), SLICE):
                async for _chunk in runner.run(group.SerializeToString(), packed[first : first + SLICE]):
                    pass
            after, front = worker.cpu_times(), time.process_time() - own
            spent = after.user + after.system - before.user - before.system
            figures = {"worker": spent, "front": front, "bare": bare.seconds(), "bare_tuned": tuned.seconds()}
            rounds.append({name: seconds / len(packed) * 1e6 for name, seconds in figures.items()})
        rounds = rounds[1:]
    ours = [each["worker"] + each["front"] for each in rounds]
    ratios = {
        name: [one / each[name] for one, each in zip(ours, rounds, strict=True)] for name in ("bare", "bare_tuned")
    }
    return {
        "messages": len(packed),
        **{f"{name}_cpu_us_per_message": _median(each[name] for each in rounds) for name in rounds[0]},
        "emails_per_core_second": round(1e6 / statistics.median(ours)),
        "bare_emails_per_core_second": round(1e6 / _median(each["bare"] for each in rounds)),
        "cpu_ratio_to_bare": _median(ratios["bare"], 2),
        "cpu_ratio_to_bare_runs": [round(ratio, 2) for ratio in ratios["bare"]],
        "cpu_ratio_to_bare_tuned": _median(ratios["bare_tuned"], 2),
        "worker_rss_mib": round(worker.memory_info().rss / 2**20),
    }


def _median(values: Iterable[float], digits: int = 1) -> float:
    return round(statistics.median(values), digits)


class BareLoop:
    """A process of `benchmarks.bare_render`; `environment` is added to its own."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_render"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict(environment or {}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seconds(self) -> float:
        """CPU of one round."""
        assert self._process.stdin is not None  # noqa: S101  made with pipes
        assert self._process.stdout is not None  # noqa: S101  likewise
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


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
