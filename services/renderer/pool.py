"""Long-lived worker processes: started, watched, killed past their deadline and replaced alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from morpheus_kit import logs
from morpheus_kit.config import PREFIX
from morpheus_kit.errors import UnavailableError
from morpheus_kit.reasons import ReasonCode
from services.renderer import frames
from services.renderer.fair_queue import FairQueue
from services.renderer.frames import Compile, Compiled, Description, Frame, Progress
from services.renderer.settings import RenderSettings
from services.renderer.shared_cache import OwnedCache
from services.renderer.stack_dump import StackDump
from services.renderer.watch import START_SECONDS, Watch, kill

log = logs.get_logger(__name__)

STARTS = 3
MOST_DEATHS = 3
"""Of workers over one message or template, until that is what kills them."""
STOP_SECONDS = 2.0
# glibc gives each freed HTML tree back to the kernel and faults it in again for the next; workers keep it instead.
ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(16 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
}
PIPE_BUFFER = 2 * 1024 * 1024
Analysis = TypeVar("Analysis", Compiled, Description)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`timeout`: seconds a message may take; `memory`: bytes of a worker; `settings` go to each.

    A worker with more resident memory than `recycle` is replaced between two orders.
    """

    workers: int
    timeout: float
    memory: int
    recycle: int = 400 * 1024**2
    settings: RenderSettings = field(default_factory=RenderSettings)


class WorkerDiedError(Exception):
    """A worker ended in the middle of an order; `position` is the message that it was at.

    `place` is template and line, when that is known.
    """

    def __init__(self, position: int, *, timed_out: bool, place: str = "") -> None:
        self.position = position
        self.timed_out = timed_out
        self.place = place
        super().__init__(f"worker died at message {position}, timed out: {timed_out}")


class Worker:
    """One worker process, seen from the front. `busy` is true from an order to its DONE."""

    def __init__(
        self, process: asyncio.subprocess.Process, progress: Progress, dump: StackDump, timeout: float
    ) -> None:
        self._process = process
        self._progress = progress
        self._dump = dump
        self._watch = Watch(process, progress, dump, timeout)
        self.busy = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def order(self, frame: Frame) -> None:
        """Hands over work; read its answers until DONE."""
        self.busy = True
        self._dump.clear()
        self._progress.begin(-1)
        await self.send(frame)

    async def send(self, frame: Frame) -> None:
        assert self._process.stdin is not None  # noqa: S101  made with a pipe
        try:
            with self._watch:
                self._process.stdin.write(frames.pack(frame))
                await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as exc:
            raise self._died() from exc

    async def receive(self) -> Frame:
        """The next frame. WorkerDiedError when there will be none."""
        assert self._process.stdout is not None  # noqa: S101  made with a pipe
        try:
            with self._watch:
                frame = await frames.read_async(self._process.stdout)
        except (EOFError, ConnectionResetError) as exc:
            raise self._died() from exc
        if frame.kind in {frames.DONE, frames.REFUSED, frames.LOST}:
            self.busy = False
        return frame

    def kill(self) -> None:
        """Ends it at once."""
        kill(self._process)

    async def stop(self) -> None:
        """Closes its input and sees it end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(0 if self.busy else STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            kill(self._process)
            await self._process.wait()

    def _died(self) -> WorkerDiedError:
        return WorkerDiedError(self._progress.read()[0], timed_out=self._watch.expired, place=self._dump.place())


class WorkerPool:
    """A part of the renderer: as many workers as configured, each used by one order at a time."""

    def __init__(self, cache: OwnedCache, limits: PoolLimits) -> None:
        self._cache = cache
        self._limits = limits
        self._slots: FairQueue[Worker | None] = FairQueue()
        self._ended: list[Worker] = []
        self._started = 0

    async def start(self) -> None:
        """Returns when every worker has loaded what it needs."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._start_worker()) for _ in range(self._limits.workers)]
        for task in tasks:
            self._slots.put(task.result())

    async def stop(self) -> None:
        """Ends the workers that are idle, kills the others, removes the shared folder."""
        async with asyncio.TaskGroup() as group:
            for worker in self._slots.take_idle():
                if worker is not None:
                    group.create_task(worker.stop())
            for worker in self._ended:
                group.create_task(worker.stop())
        self._cache.remove()

    @contextlib.asynccontextmanager
    async def worker(self, owner: str) -> AsyncIterator[Worker]:
        """A worker that nobody else uses, when it is the turn of `owner`.

        One that is left in the middle of an order is replaced.
        """
        worker = await self._slots.get(owner)
        try:
            if worker is None or not worker.alive:
                worker = None  # the slot stays free when no worker can be started
                worker = await self._start_worker()
            yield worker
        finally:
            if worker is not None and (worker.busy or not worker.alive):
                log.warning("render_worker_replaced", pid=worker.pid)
                self._end(worker)
                worker = None
            elif worker is not None and (held := resident_bytes(worker.pid)) > self._limits.recycle:
                log.info("render_worker_recycled", pid=worker.pid, resident_bytes=held)
                self._end(worker)  # it is idle: nothing is lost
                worker = None
            self._slots.put(worker)

    async def compile(self, path: str, source: bytes) -> Compiled:
        """One template, by any worker."""
        return await self._analyse(frames.COMPILE, Compile(path, source), Compiled)

    async def describe(self, path: str, source: bytes) -> Description:
        """What one template reads and refers to, by any worker."""
        return await self._analyse(frames.DESCRIBE, Compile(path, source), Description)

    async def _analyse(self, kind: int, order: Compile, answer: type[Analysis]) -> Analysis:
        """Again when a worker dies over it: it may have been killed for something else."""
        what = "ended its worker more than once"
        for _ in range(MOST_DEATHS):
            async with self.worker("") as worker:
                try:
                    await worker.order(Frame(kind, msgspec.msgpack.encode(order)))
                    done = await worker.receive()
                    return msgspec.msgpack.decode(done.payload, type=answer)
                except WorkerDiedError as exc:
                    if exc.timed_out:
                        what = "takes too long"
                        break
        return answer(code=ReasonCode.TEMPLATE_INVALID.value, text=f"compiling {order.path} {what}", died=True)

    def _end(self, worker: Worker) -> None:
        """At once; `stop` waits for those that have not gone by then."""
        worker.kill()
        self._ended = [worker, *(each for each in self._ended if each.alive)]

    async def _start_worker(self) -> Worker:
        """UnavailableError when none of a few starts succeeds."""
        for _ in range(STARTS):
            with contextlib.suppress(TimeoutError, EOFError):
                return await self._spawn()
        raise UnavailableError("No render worker can be started.")

    async def _spawn(self) -> Worker:
        self._started += 1
        paths = [self._cache.folder / f"{name}-{self._started}" for name in ("progress", "stack")]
        progress, dump = Progress.create(paths[0]), StackDump(paths[1])
        settings = msgspec.json.encode(self._limits.settings).decode()
        arguments = [self._cache.folder, *paths, settings, self._limits.memory, os.getpid()]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "services.renderer.worker"),
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=PIPE_BUFFER,
            env=worker_environment(os.environ),
        )
        worker = Worker(process, progress, dump, self._limits.timeout)
        ready = False
        try:
            async with asyncio.timeout(START_SECONDS):
                assert process.stdout is not None  # noqa: S101  made with a pipe
                ready = (await frames.read_async(process.stdout)).kind == frames.READY
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
            if not ready:
                kill(process)
        return worker


def worker_environment(own: Mapping[str, str]) -> dict[str, str]:
    """What templates run with: no credentials, nothing of the service's settings."""
    return {name: value for name, value in own.items() if not name.startswith(("AWS_", PREFIX))} | ALLOCATOR


def resident_bytes(pid: int) -> int:
    """Of a process; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
