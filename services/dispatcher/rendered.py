"""The rendering step of a slice: what to do when the renderer is away, or stumbles over one message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit import logs
from morpheus_kit.errors import DeadlineError, MorpheusError, TemplateChangedError, UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.reasons import TEXTS, ReasonCode
from services.dispatcher.pauses import unless
from services.dispatcher.rendering import Renderer
from services.dispatcher.results import Held
from services.dispatcher.slices import Slice

log = logs.get_logger(__name__)
# Before the messages are given back to the queue, where pause and cancel reach them.
_PAUSES_SECONDS = (0.2, 1.0)
# Rendered bytes that are held at once; PDFs may be large.
_BATCH_BYTES = 8 * 1024 * 1024
_ENOUGH_FAILURES = 5


class RenderStep:
    """Renders slices; yields batches that are ready for the next step."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def batches(
        self, ctx: Slice, waiting: dict[str, Held], stopping: asyncio.Event
    ) -> AsyncGenerator[list[Held]]:
        """Batches of messages with `rendered` set, taken out of `waiting`.

        What is left in `waiting` at the end was not rendered: `stopping` came. TemplateChangedError: the pinned
        versions are gone; UnavailableError: the renderer is.
        """
        for wait in (*_PAUSES_SECONDS, None):
            try:
                async for batch in self._once(ctx, waiting, stopping):
                    yield batch
            except TemplateChangedError:
                raise
            except (UnavailableError, DeadlineError) as exc:
                log.warning("render_unavailable", part=ctx.part, error=exc.message, messages=len(waiting))
                if wait is None:
                    raise UnavailableError("The renderer does not answer.") from exc
                await pause(stopping, wait)
            except MorpheusError as exc:
                log.warning("render_failed", part=ctx.part, error=exc.message, messages=len(waiting))
                break
            if not waiting or stopping.is_set():
                return
        try:
            async for batch in self._one_by_one(ctx, waiting, stopping):
                yield batch
        except DeadlineError as exc:
            raise UnavailableError("The renderer does not answer.") from exc

    async def _once(self, ctx: Slice, waiting: dict[str, Held], stopping: asyncio.Event) -> AsyncGenerator[list[Held]]:
        if not ctx.group.pins:
            raise UnavailableError("The group's templates are not pinned yet.")
        for asked in waiting.values():
            asked.unsubscribe_url = ctx.group.unsubscribe_url(asked.message)
        chunks = self._renderer.render(ctx.group.content, list(waiting.values()))
        batch: list[Held] = []
        size = 0
        async with aclosing(chunks):
            while (chunk := await unless(stopping, _next(chunks))) is not None:
                for rendered in chunk:
                    held = waiting.pop(rendered.id, None)
                    if held is not None:
                        held.rendered = rendered
                        batch.append(held)
                size += sum(each.ByteSize() for each in chunk)
                if size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    async def _one_by_one(
        self, ctx: Slice, waiting: dict[str, Held], stopping: asyncio.Event
    ) -> AsyncGenerator[list[Held]]:
        """After an error that the renderer has no name for. One message that fails where others do not is at fault
        itself; when none gets through, the renderer is.
        """
        failed: dict[str, Held] = {}
        through = len(waiting) == 1
        # Whoever fails gets a second try after the others: the renderer may have been restarting.
        for message_id in (*waiting, *waiting):
            held = waiting.pop(message_id, None) or (failed.pop(message_id, None) if through else None)
            if held is None or stopping.is_set():
                continue
            failed[message_id] = held
            if await self._alone(ctx, held, waiting, failed, stopping):
                through = True
                yield [failed.pop(message_id)]
            elif len(failed) >= _ENOUGH_FAILURES and not through:
                break
        if stopping.is_set() or not through:
            waiting |= failed
        elif failed:
            for held in failed.values():
                held.rendered = _failure(held)
            yield list(failed.values())
        if not through and not stopping.is_set():
            raise UnavailableError("The renderer fails for every message.")

    async def _alone(
        self,
        ctx: Slice,
        held: Held,
        waiting: dict[str, Held],
        failed: dict[str, Held],
        stopping: asyncio.Event,
    ) -> bool:
        """Whether it came through. When the renderer is away, all that failed waits again."""
        try:
            async for _ in self._once(ctx, {held.message.id: held}, stopping):
                pass
        except (UnavailableError, DeadlineError, TemplateChangedError):
            waiting |= failed
            raise
        except MorpheusError as exc:
            log.warning("render_failed_alone", message_id=held.message.id, error=exc.message)
        return held.rendered is not None


async def _next(
    chunks: AsyncIterator[Sequence[renderer_pb2.RenderedMessage]],
) -> Sequence[renderer_pb2.RenderedMessage] | None:
    return await anext(chunks, None)


def _failure(held: Held) -> renderer_pb2.RenderedMessage:
    code = ReasonCode.RENDER_FAILED
    return renderer_pb2.RenderedMessage(id=held.message.id, failure=renderer_pb2.Failure(code=code, text=TEXTS[code]))
