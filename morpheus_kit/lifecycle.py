"""How a service starts, lives and stops: the same for all.

`app.build(config)` returns a `Unit`: named parts that are started in order and stopped in reverse.
`run` gives it a process: `--check-config`, logging, uvloop, signals. A part whose task dies stops
the service: no half-alive processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import uvloop

from morpheus_kit import logs
from morpheus_kit.config import ConfigError, Settings

log = logs.get_logger(__name__)
S = TypeVar("S", bound=Settings)
# For closing what is open, where others have used up the time.
_LEAST_SECONDS = 0.5
# Python's own are 700, 10, 10.
_GC_THRESHOLDS = (50_000, 20, 20)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Waits `seconds`, or until `stopping` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


class Part(Protocol):
    """Something with a life: a server, a consumer, a pool."""

    async def start(self) -> None:
        """Returns when it is ready."""
        ...

    async def stop(self) -> None:
        """Returns when nothing of it is left; finishes what is under way."""
        ...


@dataclass(slots=True)
class Task:
    """A part that is one endless coroutine; ends when `stop` sets its event."""

    name: str
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the coroutine."""
        self._task = asyncio.create_task(self.main(self._stopping), name=self.name)

    async def stop(self) -> None:
        """Asks it to end and waits until it has."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The running task, for watching."""
        return self._task


@dataclass(slots=True)
class Unit:
    """A service as its parts, in starting order."""

    name: str
    parts: list[Part]
    grace_seconds: float = 25.0

    async def serve(self, stopping: asyncio.Event) -> None:
        """Starts all parts, waits for `stopping` or a dead part, stops all in reverse.

        Raises what the dead part raised, after everything is stopped.
        """
        started: list[Part] = []
        failure: BaseException | None = None
        try:
            for part in self.parts:
                await part.start()
                started.append(part)
            log.info("service_started", unit=self.name)
            failure = await self._watch(stopping)
        finally:
            await self._stop(started)
        if failure is not None:
            raise failure

    async def _watch(self, stopping: asyncio.Event) -> BaseException | None:
        tasks = [part.task for part in self.parts if isinstance(part, Task) and part.task]
        waiter = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if waiter in done:
            return None
        waiter.cancel()
        dead = next(iter(done))
        return dead.exception() or RuntimeError(f"{dead.get_name()} ended by itself")

    async def _stop(self, started: list[Part]) -> None:
        """All within the grace: a part that hangs leaves those after it little, but never nothing."""
        until = time.monotonic() + self.grace_seconds
        for part in reversed(started):
            try:
                async with asyncio.timeout(max(_LEAST_SECONDS, until - time.monotonic())):
                    await part.stop()
            except Exception as exc:
                log.exception("part_stop_failed", part=type(part).__name__, error=repr(exc))
        log.info("service_stopped", unit=self.name)


def run(config_class: type[S], build: Callable[[S], Unit | Awaitable[Unit]], argv: list[str]) -> int:
    """The `main` of every service: returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {config_class.service}")
    parser.add_argument("--check-config", action="store_true", help="validate the environment and stop")
    arguments = parser.parse_args(argv)
    try:
        config = config_class.load()
    except ConfigError as exc:
        sys.stderr.write(f"{config_class.service}: {exc}\n")
        return 2
    if arguments.check_config:
        sys.stdout.write(f"{config_class.service}: configuration is valid\n")
        return 0
    logs.configure(config_class.service, config.log_level)
    try:
        uvloop.run(_main(config, build))
    except ConfigError as exc:  # what can only be seen by trying
        sys.stderr.write(f"{config_class.service}: {exc}\n")
        return 2
    except Exception as exc:
        log.exception("service_failed", error=repr(exc))
        return 1
    return 0


async def _main(config: S, build: Callable[[S], Unit | Awaitable[Unit]]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    unit = build(config)
    if not isinstance(unit, Unit):
        unit = await unit
    spare_the_collector()
    await unit.serve(stopping)


def spare_the_collector() -> None:
    """What is loaded by now lives as long as the process; looking through it again and again cost a tenth of the CPU
    under load. Cycles are few here, so they may be looked for less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
