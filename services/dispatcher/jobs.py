"""Jobs: one per accepted part. Templates are loaded and their versions pinned before a message of it goes."""

from __future__ import annotations

import asyncio

from morpheus_kit import logs
from morpheus_kit.errors import MorpheusError, UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.scripts import Job, Queue
from services.dispatcher.groups import Groups, pack_pins
from services.dispatcher.pauses import Wake, unless
from services.dispatcher.rendering import Renderer

log = logs.get_logger(__name__)
_COUNT = 20
_BLOCK_MS = 1000
_PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0)
_MOST_FAILURES = 3


class Jobs:
    """Starts the parts of one partition."""

    def __init__(
        self, consumer: str, queue: Queue, renderer: Renderer, groups: Groups, wake: Wake, *, lease_seconds: float
    ) -> None:
        """`wake` is set when a part has been started."""
        self._consumer = consumer
        self._queue = queue
        self._renderer = renderer
        self._groups = groups
        self._wake = wake
        self._lease_ms = round(lease_seconds * 1000)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set():
            try:
                for job in await self._next(stopping):
                    await self._start(job, stopping)
            except UnavailableError as exc:
                log.warning("jobs_wait", error=exc.message)
                await pause(stopping, _PAUSES_SECONDS[-1])

    async def _next(self, stopping: asyncio.Event) -> list[Job]:
        """What a silent dispatcher left, else new ones."""
        left = await self._queue.claim_jobs(self._consumer, self._lease_ms, _COUNT)
        if left:
            return left
        return await unless(stopping, self._queue.read_jobs(self._consumer, _COUNT, _BLOCK_MS)) or []

    async def _start(self, job: Job, stopping: asyncio.Event) -> None:
        """Asks until the renderer answers: a part waits for it, it does not fail for its absence.

        A job that fails in another way does not hold up the others: it is left, and tried again after the lease.
        """
        tried = 0
        while not stopping.is_set():
            try:
                await self._try(job)
            except UnavailableError as exc:
                log.warning("job_waits", part=job.part, error=exc.message)
            except MorpheusError as exc:
                log.warning("job_failed", part=job.part, error=exc.message)
                if tried >= _MOST_FAILURES:
                    return
            except Exception:
                log.exception("job_failed", part=job.part)
                return
            else:
                self._wake.set()
                return
            await pause(stopping, _PAUSES_SECONDS[min(tried, len(_PAUSES_SECONDS) - 1)])
            tried += 1

    async def _try(self, job: Job) -> None:
        group = await self._groups.get(self._queue, job.part)
        if group is None or group.pins:
            pins = group.pins if group else b""
            status = await self._queue.start_part(job.part, job.entry_id, pins)
            log.info("part_started", part=job.part, status=status)
            return
        answer = await self._renderer.warm(group.paths)
        if answer.HasField("failure"):
            failure = answer.failure
            await self._queue.fail_part(job.part, job.entry_id, failure.code, failure.text)
            log.info("part_failed", part=job.part, reason=failure.code, text=failure.text)
            return
        status = await self._queue.start_part(job.part, job.entry_id, pack_pins(dict(answer.versions)))
        log.info("part_started", part=job.part, status=status)
