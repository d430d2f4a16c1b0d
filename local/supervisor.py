"""Keeps child processes running: start in order, readiness, output, restart, ordered stop.

A child leads its own process group and gets SIGKILL when this process dies in whatever way, so none is ever left.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Say = Callable[[str, str], None]

READY_LIMIT = 60.0
READY_POLL = 0.05
BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0)
# Lived this long: its next death counts as the first.
SETTLED_AFTER = 30.0
# Stopping all children takes no longer than this; the last seconds belong to those that others need while they stop.
STOP_LIMIT = 28.0
STOP_RESERVE = 1.0

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Program:
    """A child: its name in the log, its command, and the question whether it is ready."""

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]]


class StartError(Exception):
    """A child did not become ready."""


def _die_with(parent: int) -> None:
    """Runs in the child before its program does."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Child:
    """One program and its process of the moment."""

    def __init__(self, program: Program, env: Mapping[str, str], say: Say) -> None:
        self.program = program
        self._stopping = asyncio.Event()
        self._env = env
        self._say = say
        self._process: Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        parent = os.getpid()
        self._started = time.monotonic()
        # A pipe of our own: asyncio's would hold `wait` up until the child's own children have closed it too.
        source, sink = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=DEVNULL,
                stdout=sink,
                stderr=STDOUT,
                env=self._env,
                process_group=0,
                # Nothing but two system calls, from the main thread; the death signal is bound to it.
                preexec_fn=lambda: _die_with(parent),
            )
        finally:
            os.close(sink)
        self._output = tasks.create_task(self._pump(source))
        if self._stopping.is_set():
            self._kill_group(signal.SIGKILL)

    async def _pump(self, source: int) -> None:
        """Whole lines under the child's name; a line without end is cut at 64 KiB."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
        )
        try:
            await self._forward(reader)
        finally:
            transport.close()

    async def _forward(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await reader.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > 65536:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._say(self.program.name, line.decode(errors="replace"))
        if rest:
            self._say(self.program.name, rest.decode(errors="replace"))

    async def wait_ready(self) -> None:
        """Until the child says so; a child that ends first is an error with its exit code."""
        until = time.monotonic() + READY_LIMIT
        while not await self.program.ready():
            if self._process is not None and self._process.returncode is not None:
                raise StartError(f"{self.program.name} {self.ending()} before it was ready")
            if time.monotonic() > until:
                raise StartError(f"{self.program.name} was not ready after {READY_LIMIT:.0f} s")
            await asyncio.sleep(READY_POLL)

    def ending(self) -> str:
        code = self._process.returncode if self._process is not None else None
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    async def keep(self, tasks: asyncio.TaskGroup) -> None:
        """Starts the child again whenever it ends, later each time it ends soon."""
        deaths = 0
        while self._process is not None:
            await self._process.wait()
            if self._stopping.is_set():
                return
            self._kill_group(signal.SIGKILL)
            deaths = 0 if time.monotonic() - self._started > SETTLED_AFTER else deaths
            delay = BACK_OFF[min(deaths, len(BACK_OFF) - 1)]
            deaths += 1
            self._say("local", f"{self.program.name} {self.ending()}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            if not self._stopping.is_set():
                await self.start(tasks)

    def prepare_stop(self) -> None:
        """From now on its end is no surprise."""
        self._stopping.set()

    async def stop(self, limit: float) -> None:
        """SIGTERM, and SIGKILL for the whole group when the limit in seconds has passed."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(limit):
                await process.wait()
        except TimeoutError:
            self._say("local", f"{self.program.name} did not stop within {limit:.0f} s; killing it")
        self._kill_group(signal.SIGKILL)
        await process.wait()
        if self._output is not None:
            await asyncio.wait([self._output], timeout=1.0)
            self._output.cancel()

    def _kill_group(self, signum: signal.Signals) -> None:
        """The child's own children too; the group outlives its leader as long as it has one."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signum)
        except ProcessLookupError:
            return


class Supervisor:
    """Stages of children, from the first start to the last stop."""

    def __init__(self, stages: Sequence[Sequence[Program]], env: Mapping[str, str], say: Say) -> None:
        self._stages = [[Child(program, env, say) for program in stage] for stage in stages]
        self._say = say
        self.stop_requested = asyncio.Event()

    def pids(self) -> dict[str, int]:
        return {child.program.name: child.pid for stage in self._stages for child in stage if child.pid}

    async def run(self, when_ready: Callable[[], Awaitable[None]]) -> None:
        """Starts all, awaits `when_ready`, then waits for `stop_requested`; all are stopped however it ends."""
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._until_stop(self._start(tasks))
                keepers = [tasks.create_task(child.keep(tasks)) for stage in self._stages for child in stage]
                try:
                    await self._until_stop(when_ready())
                    await self.stop_requested.wait()
                finally:
                    await self._stop()
                    for keeper in keepers:
                        keeper.cancel()
            finally:
                await self._stop()

    async def _until_stop(self, work: Awaitable[None]) -> None:
        """The work, cut short by a request to stop."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self.stop_requested.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if not task.cancelled():
            await task

    async def _start(self, tasks: asyncio.TaskGroup) -> None:
        for stage in self._stages:
            for child in stage:
                await child.start(tasks)
            for child in stage:
                await child.wait_ready()

    async def _stop(self) -> None:
        """Backwards through the stages, all within the limit; repeated calls find nothing left to do."""
        until = time.monotonic() + STOP_LIMIT
        for child in (child for stage in self._stages for child in stage):
            child.prepare_stop()
        for index, stage in reversed(list(enumerate(self._stages))):
            limit = max(STOP_RESERVE, until - time.monotonic() - index * STOP_RESERVE)
            await asyncio.gather(*(child.stop(limit) for child in stage))
