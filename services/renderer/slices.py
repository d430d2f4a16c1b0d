"""Runs slices on workers: passes answers on, serves files, and retries what a dying worker has left.

A worker is held for one order at a time and gives its answers to the front, which gives them to the caller. So a caller
that reads slowly keeps no worker from the others, and has no more in the front than one order brings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import msgspec
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit import logs
from morpheus_kit.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError
from morpheus_kit.reasons import ReasonCode
from services.renderer import frames, wire
from services.renderer.backlog import Backlog
from services.renderer.catalog import Catalog
from services.renderer.files import GroupFiles, Place
from services.renderer.frames import Content, Frame
from services.renderer.pool import MOST_DEATHS, Worker, WorkerDiedError, WorkerPool
from services.renderer.shared_cache import LostTemplatesError
from services.renderer.stack_dump import STEPS

log = logs.get_logger(__name__)

ENDLESS_AFTER = 3
MOST_LOSSES = 5


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that go to a worker together; `deaths`: workers that died over just these."""

    messages: Sequence[bytes]
    deaths: int = 0


@dataclass(slots=True)
class Order:
    """What a worker has made of messages of `owner`; `away`: the error of a store that did not answer meanwhile."""

    owner: str
    answers: deque[bytes] = field(default_factory=deque)
    answered: int = 0
    away: UnavailableError | None = None


class SliceRunner:
    """Renders the messages of a group: every one is answered once, whatever happens to workers."""

    def __init__(self, pool: WorkerPool, catalog: Catalog, files: GroupFiles, backlog: Backlog | None = None) -> None:
        self._pool = pool
        self._catalog = catalog
        self._files = files
        self._backlog = backlog or Backlog()

    async def run(self, group: bytes, messages: Sequence[bytes], owner: str = "") -> AsyncGenerator[bytes, None]:
        """Serialized RenderMessagesResponses. Slices of the same `owner` share the files that they read.

        ThrottledError: too much of the owner's, or of all, is waiting or not read.
        """
        with self._backlog.hold(owner, len(group) + sum(map(len, messages))) as holding:
            async with aclosing(self._orders(group, messages, owner)) as answers:
                async for unread in answers:
                    holding.add(sum(map(len, unread)))
                    while unread:
                        size = len(unread[0])
                        yield unread.popleft()
                        holding.add(-size)

    async def _orders(self, group: bytes, messages: Sequence[bytes], owner: str) -> AsyncGenerator[deque[bytes], None]:
        """Answers of one order after another; no worker is held between them."""
        todo = deque([Batch(messages)])
        timeouts = losses = 0
        while todo:
            batch = todo.popleft()
            order = Order(owner)
            try:
                await self._attempt(group, batch.messages, order)
            except LostTemplatesError as lost:
                losses += 1
                if losses > MOST_LOSSES:
                    raise UnavailableError("The shared templates are lost as fast as they are made.") from lost
                await self._catalog.replace(lost.versions)
                todo.appendleft(batch)
            except WorkerDiedError as death:
                left = replace(batch, messages=batch.messages[order.answered :])
                timeouts = death.timed_out + (0 if order.answered else timeouts)
                endless = timeouts >= ENDLESS_AFTER
                failed, again = after_death(left, death.position - order.answered, death, endless=endless)
                if failed:
                    order.answers.append(wire.response([_failure(message, death, group) for message in failed]))
                todo.extendleft(reversed(again))
            else:
                timeouts = 0
                todo.extendleft(_batch(batch.messages[order.answered :]))
            yield order.answers
            if order.away is not None:
                raise order.away

    async def _attempt(self, group: bytes, messages: Sequence[bytes], order: Order) -> None:
        """Fills in what a worker answers to the first of `messages`, at least one of them."""
        async with self._pool.worker(order.owner) as worker:
            await worker.order(Frame(frames.RENDER, wire.join(group, messages)))
            while (frame := await worker.receive()).kind != frames.DONE:
                if frame.kind == frames.REFUSED:
                    raise InvalidInputError("The messages are not those of a RenderMessagesRequest.")
                if frame.kind == frames.LOST:
                    raise LostTemplatesError(msgspec.msgpack.decode(frame.payload, type=dict[str, str]))
                if frame.kind == frames.FETCH:
                    place = (order.owner, frame.payload.decode(errors="replace"))
                    order.away = await self._serve_file(worker, place, order.away)
                elif order.away is None:
                    order.answers.append(frame.payload)
                    order.answered += frame.count

    async def _serve_file(self, worker: Worker, place: Place, away: UnavailableError | None) -> UnavailableError | None:
        """Gives the worker what it waits for; returns the error when the store is away.

        Then the slice has to be rendered again later: what the worker still makes of it is thrown away, and the store
        is asked no more. The worker itself stays.
        """
        try:
            if away is not None:
                raise away
            blob = await self._files.read(*place)
            content = Content(blob.content, content_type=blob.content_type)
        except TooLargeError as exc:
            content = Content(error=exc.message, too_large=True)
        except (InvalidInputError, NotFoundError) as exc:
            content = Content(error=exc.message)
        except UnavailableError as exc:
            away = exc
            content = Content(error=exc.message)
        await worker.send(Frame(frames.CONTENT, msgspec.msgpack.encode(content)))
        return away


def after_death(
    left: Batch, position: int, death: WorkerDiedError, *, endless: bool
) -> tuple[Sequence[bytes], list[Batch]]:
    """Which of the unanswered messages fail, and in which batches the others are tried again.

    Past its deadline a worker was at one message, which is the guilty one; when several in a row were (`endless`),
    it is what they share. What came before it goes first and alone, since it is known to be good. A worker that
    died otherwise makes its message a suspect: that one is tried again alone, and fails when it has ended
    MOST_DEATHS workers; so does a batch that ended them before its first message.
    """
    messages = left.messages
    guilty = position if 0 <= position < len(messages) else 0
    before, after = _batch(messages[:guilty]), _batch(messages[guilty + 1 :])
    if death.timed_out:
        return (messages, []) if endless else ([messages[guilty]], before + after)
    if position >= 0 and len(messages) > 1:
        return [], [*before, Batch([messages[guilty]], deaths=1), *after]
    if left.deaths + 1 >= MOST_DEATHS:
        return messages, []
    return [], [replace(left, deaths=left.deaths + 1)]


def _place(death: WorkerDiedError, group: bytes) -> str:
    """Template and line, or the group's templates and the step after them."""
    if death.place and death.place not in STEPS.values():
        return death.place
    content = renderer_pb2.GroupContent.FromString(group)
    names = " in ".join(filter(None, (content.inner_template, content.outer_template)))
    return ", ".join(filter(None, (names, death.place)))


def _batch(messages: Sequence[bytes]) -> list[Batch]:
    return [Batch(messages)] if messages else []


def _failure(message: bytes, death: WorkerDiedError, group: bytes) -> bytes:
    code = ReasonCode.RENDER_TIMEOUT if death.timed_out else ReasonCode.RENDER_FAILED
    text = "rendering it took too long" if death.timed_out else "rendering it ended the worker process more than once"
    text = f"{_place(death, group)}: {text}"
    message_id = renderer_pb2.MessageContent.FromString(message).id
    log.warning("message_render_aborted", message_id=message_id, reason=code.value)
    failure = renderer_pb2.Failure(code=code.value, text=text)
    return renderer_pb2.RenderedMessage(id=message_id, failure=failure).SerializeToString()
