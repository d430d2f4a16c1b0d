"""PDFs a second on two workers, beside a bare `write_pdf()` loop a core and, where it is installed, wkhtmltopdf.

Everything runs in turns within one run, so that what else the machine does meets all alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from morpheus.renderer.v1 import renderer_pb2

from benchmarks import sample
from morpheus_kit.blobs import FolderStore
from morpheus_kit.clock import SystemClock
from services.renderer.catalog import Catalog
from services.renderer.files import GroupFiles
from services.renderer.pool import PoolLimits, WorkerPool, resident_bytes
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import OwnedCache
from services.renderer.slices import SliceRunner

CORES = 2
DISTINCT = 100
REPEATED = 2_000
SLICE = 50
RUNS = 5
DRIFT_WARM, DRIFT = 400, 2_000
_STYLE = (
    "@page{size:A4;margin:2cm}body{font:11pt sans-serif}table{width:100%}td{border-bottom:1px solid #ccc;padding:4px}"
)
_LINES = "".join(f"<tr><td>Lesson {n}</td><td>£{10 + n}.00</td></tr>" for n in range(8))
# One process of the bare loop: documents in, then the seconds and the CPU seconds that all of them took.
_BARE = (
    "import sys,time,json;from weasyprint import HTML;pages=json.load(sys.stdin);HTML(string=pages[0]).write_pdf();"
    "clocks=time.monotonic,time.process_time;started=[clock() for clock in clocks];"
    "[HTML(string=page).write_pdf() for page in pages];print(*(c()-s for c,s in zip(clocks,started)))"
)


def measure() -> dict[str, Any]:
    """PDFs/s of each, ratios, and how much resident memory grows."""
    return asyncio.run(_measure())


def invoice(number: str) -> str:
    """One page."""
    return (
        f"<style>{_STYLE}</style><h1>Invoice {number}</h1><p>Dear customer,</p><table>{_LINES}</table><p>Thank you.</p>"
    )


async def _measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        cache = OwnedCache.create(Path(folder))
        limits = PoolLimits(CORES, timeout=60, memory=1024**3, recycle=1024**3, settings=RenderSettings())
        pool = WorkerPool(cache, limits)
        await pool.start()
        try:
            store = FolderStore(sample.TEMPLATES)
            catalog = Catalog(store, cache, pool.compile, SystemClock(), ttl=0)
            versions = await catalog.warm(["outer.html"])
            group = renderer_pb2.GroupContent(inner_template="outer.html", versions=versions, missing_variables="empty")
            bench = _Bench(SliceRunner(pool, catalog, GroupFiles(store, 25_000_000)), group.SerializeToString())
            return await _rates(bench) | await _drift(bench)
        finally:
            await pool.stop()


class Spent(NamedTuple):
    """Seconds by the clock, and of CPU over all processes."""

    seconds: float
    cpu: float


class _Bench:
    def __init__(self, runner: SliceRunner, group: bytes) -> None:
        self._runner = runner
        self._group = group

    async def make(self, pages: Sequence[str]) -> Spent:
        """What all of them took, two slices at a time."""
        messages = [
            renderer_pb2.MessageContent(
                id=f"m{index}", pdf_attachments=[renderer_pb2.PdfAttachment(name="a.pdf", html=page)]
            ).SerializeToString()
            for index, page in enumerate(pages)
        ]
        slices = iter([messages[first : first + SLICE] for first in range(0, len(messages), SLICE)])
        started, cpu = time.monotonic(), _cpu_seconds()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CORES):
                tasks.create_task(self._work(slices))
        return Spent(time.monotonic() - started, _cpu_seconds() - cpu)

    async def _work(self, slices: Any) -> None:
        for messages in slices:
            async for chunk in self._runner.run(self._group, messages):
                for answer in renderer_pb2.RenderMessagesResponse.FromString(chunk).messages:
                    if not answer.attachments:
                        raise RuntimeError(answer.failure.text)


async def _rates(bench: _Bench) -> dict[str, Any]:
    await bench.make([invoice(f"warm-{n}") for n in range(2 * SLICE)])
    distinct, bare, repeated = [], [], []
    for run in range(RUNS):
        pages = [invoice(f"{run}-{n}") for n in range(DISTINCT)]
        distinct.append(await bench.make(pages))
        bare.append(await asyncio.to_thread(_bare, pages))
        repeated.append(await bench.make([invoice(f"same-{run}")] * REPEATED))
    figures = {
        "distinct_per_second": round(max(DISTINCT / each.seconds for each in distinct), 1),
        "repeated_per_second": round(max(REPEATED / each.seconds for each in repeated), 1),
        "bare_loop_per_second": round(max(DISTINCT / each.seconds for each in bare), 1),
        "distinct_to_bare": _median(theirs.seconds / ours.seconds for ours, theirs in zip(distinct, bare, strict=True)),
        "distinct_to_bare_by_cpu": _median(theirs.cpu / ours.cpu for ours, theirs in zip(distinct, bare, strict=True)),
        "repeated_to_bare_by_cpu": _median(
            theirs.cpu / DISTINCT / (ours.cpu / REPEATED) for ours, theirs in zip(repeated, bare, strict=True)
        ),
        "cpu_ms_per_distinct": _median(each.cpu / DISTINCT * 1000 for each in distinct),
        "cpu_ms_per_bare": _median(each.cpu / DISTINCT * 1000 for each in bare),
    }
    if shutil.which("wkhtmltopdf"):
        figures["wkhtmltopdf_per_second"] = round(await asyncio.to_thread(_wkhtmltopdf), 1)
    return figures


async def _drift(bench: _Bench) -> dict[str, Any]:
    await bench.make([invoice(f"settle-{n}") for n in range(DRIFT_WARM)])
    before = _resident()
    await bench.make([invoice(f"drift-{n}") for n in range(DRIFT)])
    return {"rss_drift_mib": round((_resident() - before) / CORES / 2**20, 1), "rss_drift_pdfs": DRIFT}


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


def _cpu_seconds() -> float:
    """Of this process, which is the front, and of all workers."""
    spent = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + sum(each.user + each.system for each in spent)


def _resident() -> int:
    return sum(resident_bytes(child.pid) for child in psutil.Process().children())


def _bare(pages: Sequence[str]) -> Spent:
    """What as many processes as cores take that do nothing else."""
    share = len(pages) // CORES
    with ThreadPoolExecutor(CORES) as threads:
        parts = [pages[first : first + share] for first in range(0, len(pages), share)]
        spent = list(threads.map(_bare_process, parts))
    return Spent(max(each.seconds for each in spent), sum(each.cpu for each in spent))


def _bare_process(pages: Sequence[str]) -> Spent:
    done = subprocess.run(
        [sys.executable, "-c", _BARE], input=json.dumps(pages), capture_output=True, text=True, check=True
    )
    return Spent(*map(float, done.stdout.split()))


def _wkhtmltopdf() -> float:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    command = ["wkhtmltopdf", "--quiet", "-", "-"]
    pages = [invoice(f"w-{n}") for n in range(20)]

    def one(page: str) -> None:
        subprocess.run(command, input=page.encode(), env=environment, capture_output=True, check=True)

    started = time.monotonic()
    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(one, pages))
    return len(pages) / (time.monotonic() - started)
