"""What sharing compiled templates saves: reads of the store, CPU of a cold load, memory of each further worker."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import psutil
from morpheus.renderer.v1 import renderer_pb2

from benchmarks import sample
from morpheus_kit.blobs import Blob, FolderStore
from morpheus_kit.clock import SystemClock
from services.renderer.analysis import compile_template
from services.renderer.catalog import Catalog
from services.renderer.environment import Sandbox
from services.renderer.files import GroupFiles
from services.renderer.filters import Formats
from services.renderer.frames import Compile
from services.renderer.pool import PoolLimits, WorkerPool
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import OwnedCache
from services.renderer.slices import SliceRunner

WORKERS = 8
GROUPS = 50
A_GROUP = 4
"""Templates of a group: an outer one, an inner one, and what that includes."""
WARM_UP = -1
SLICE = 50
MOST_TRIES = 100
RUNS = 20
TTL = 3600.0


def measure(workers: int = WORKERS, groups: int = GROUPS) -> dict[str, Any]:
    """Reads a version, compilations a version, CPU µs of load and compilation, MiB a worker."""
    with tempfile.TemporaryDirectory() as folder:
        store = CountingStore(Path(folder) / "templates", groups)
        return asyncio.run(_pod(store, Path(folder), workers, groups)) | _cold_loads(Path(folder))


class CountingStore(FolderStore):
    """Templates of `groups` groups, all different; counts what is read."""

    def __init__(self, root: Path, groups: int) -> None:
        for group in (WARM_UP, *range(groups)):
            for path, source in _sources(group).items():
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(source)
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:
        """Counted."""
        self.reads[path] += 1
        return await super().read(path, limit, pinned)


def _sources(group: int) -> dict[str, str]:
    outer, inner = ((sample.TEMPLATES / name).read_text() for name in ("outer.html", "inner.html"))
    parts = [f"{group}/part{number}.html" for number in range(A_GROUP - 2)]
    included = "".join(f"{{% include '{part}' %}}" for part in parts)
    sources = {f"{group}/outer.html": outer, f"{group}/inner.html": inner + included} | dict.fromkeys(parts, inner)
    return {path: f"{source}<!-- {path} -->" for path, source in sources.items()}


async def _pod(store: CountingStore, folder: Path, workers: int, groups: int) -> dict[str, Any]:
    """Every worker renders every group, groups side by side."""
    cache = OwnedCache.create(folder)
    pool = WorkerPool(cache, PoolLimits(workers, timeout=60, memory=1024**3, settings=RenderSettings()))
    compiled: Counter[str] = Counter()

    async def compiler(path: str, source: bytes) -> Any:
        compiled[path] += 1
        return await pool.compile(path, source)

    catalog = Catalog(store, cache, compiler, SystemClock(), TTL)
    runner = SliceRunner(pool, catalog, GroupFiles(store, 25_000_000))
    await pool.start()
    try:
        await _render_on_all(runner, catalog, [WARM_UP])
        before = _memory()
        await _render_on_all(runner, catalog, range(groups))
        after = _memory()
        files = sum(file.stat().st_size for file in (cache.folder / "templates").iterdir())
    finally:
        await pool.stop()
    mib = {f"{kind}_mib_per_worker": round((after[kind] - before[kind]) / workers / 2**20, 2) for kind in after}
    return {
        "workers": workers,
        "templates": groups * A_GROUP,
        "most_reads_of_a_version": max(store.reads.values()),
        "most_compilations_of_a_version": max(compiled.values()),
        "shared_files_mib": round(files / 2**20, 2),
        "worker_before_pss_mib": round(before["pss"] / workers / 2**20, 1),
        "templates_add": mib,
    }


async def _render_on_all(runner: SliceRunner, catalog: Catalog, groups: Iterable[int]) -> None:
    """Each group on each worker."""
    for group in groups:
        wanted = min(_mapped()) + A_GROUP
        for _ in range(MOST_TRIES):
            await asyncio.gather(*[_render(runner, catalog, group) for _ in _mapped()])
            if min(_mapped()) == wanted:
                break
        else:
            raise RuntimeError("some workers never come to render")


async def _render(runner: SliceRunner, catalog: Catalog, number: int) -> None:
    outer, inner = f"{number}/outer.html", f"{number}/inner.html"
    group = renderer_pb2.GroupContent(
        group_id=f"{number}",
        company_code=sample.COMPANY,
        outer_template=outer,
        inner_template=inner,
        subject_template=sample.SUBJECT,
        context=msgpack.packb(sample.SHARED_CONTEXT),
        versions=await catalog.warm([outer, inner]),
    )
    async for chunk in runner.run(group.SerializeToString(), _messages()):
        for answer in renderer_pb2.RenderMessagesResponse.FromString(chunk).messages:
            if answer.HasField("failure"):
                raise RuntimeError(answer.failure.text)


def _messages() -> Sequence[bytes]:
    recipients = [sample.recipient(index) for index in range(SLICE)]
    return [
        renderer_pb2.MessageContent(
            id=f"m{index}", **fields | {"context": msgpack.packb(fields["context"])}
        ).SerializeToString()
        for index, fields in enumerate(recipients)
    ]


def _memory() -> dict[str, int]:
    """Bytes of all workers together: `pss` counts what they share once, `uss` is what each has alone."""
    infos = [worker.memory_full_info() for worker in _workers()]
    return {kind: sum(getattr(info, kind) for info in infos) for kind in ("pss", "uss")}


def _mapped() -> list[int]:
    """How many templates each worker has mapped."""
    return [Path(f"/proc/{worker.pid}/maps").read_text().count("/templates/") for worker in _workers()]


def _workers() -> list[psutil.Process]:
    """Of this pod; whoever measures may have other children."""
    return [child for child in psutil.Process().children() if "services.renderer.worker" in child.cmdline()]


def _cold_loads(folder: Path) -> dict[str, Any]:
    """A template that a process has never seen, from its mapped file, and compiled from its source."""
    [(path, source)] = list(_sources(0).items())[:1]
    cache = OwnedCache.create(folder)
    cache.put(path, "v", compile_template(Compile(path, source.encode())).content)
    sandbox = Sandbox(html=True, strict=True, loader=None, formats=Formats())  # type: ignore[arg-type]  # loads none

    def load() -> None:
        mapped = cache.load(path, "v")
        assert mapped is not None  # noqa: S101  it was put there
        sandbox.template_class.from_code(sandbox, mapped.code(html=True), {})

    def compile_one() -> None:
        sandbox.template_class.from_code(sandbox, sandbox.compile(source, path, path), {})

    loaded, made = _least(load), _least(compile_one)
    cache.remove()
    return {
        "cold_load_cpu_us": round(loaded, 1),
        "compile_cpu_us": round(made, 1),
        "compile_to_load": round(made / loaded, 1),
    }


def _least(step: Callable[[], object]) -> float:
    """CPU µs, the least of many runs."""
    least = float("inf")
    for _ in range(RUNS):
        started = time.process_time()
        step()
        least = min(least, time.process_time() - started)
    return least * 1e6
