"""The lanes: each takes a slice, sees it through, and takes the next."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import TemplateChangedError, UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.elements import Element
from morpheus_kit.queue.outcomes import pack_records
from morpheus_kit.queue.schema import Event, MessageRecord, NewerVersionError, pack
from morpheus_kit.queue.scripts import HandBackItem, Queue, Taken, TakenItem
from morpheus_kit.queue.withholding import kept_blob
from morpheus_kit.reasons import TEXTS, ReasonCode
from services.dispatcher.delivery import Delivery
from services.dispatcher.groups import Group, Groups
from services.dispatcher.holdings import Holdings
from services.dispatcher.pauses import Wake
from services.dispatcher.rendered import RenderStep
from services.dispatcher.results import Held
from services.dispatcher.routes import Route
from services.dispatcher.slices import Slice, Source, decode, split

log = logs.get_logger(__name__)
Entry = tuple[str, Element]
_IDLE_SECONDS = (0.05, 0.1, 0.25)
_FULL_SECONDS = 0.5
_ERROR_SECONDS = 1.0


class SliceHandler:
    """Sees slices through. An entry is ended, put off, handed back, or, when something breaks, left to recovery."""

    def __init__(
        self, groups: Groups, render: RenderStep, delivery: Delivery, holdings: Holdings, clock: Clock
    ) -> None:
        self._groups = groups
        self._render = render
        self._delivery = delivery
        self._holdings = holdings
        self._clock = clock

    async def handle(self, source: Source, part: str, entries: Sequence[Entry], stopping: asyncio.Event) -> None:
        """Messages of one part. UnavailableError: queue or renderer are away."""
        ids = [entry_id for entry_id, _ in entries]
        self._holdings.add(source, ids)
        try:
            try:
                group = await self._groups.get(source.queue, part)
            except NewerVersionError:
                log.warning("newer_group_left", part=part, messages=len(entries))
                return
            if group is None:
                for each in entries:
                    await self._bury(source, None, each, "its group is gone")
                return
            decoded = decode(entries)
            for each in decoded.broken:
                await self._bury(source, group, each, "it cannot be read")
            if decoded.newer:
                log.warning("newer_blobs_left", part=part, messages=len(decoded.newer))
                self._holdings.drop(source, decoded.newer)
            await self._pieces(Slice(source, part, group), list(split(decoded.held)), stopping)
        finally:
            self._holdings.drop(source, ids)

    async def give_back(self, source: Source, part: str, entries: Sequence[Entry]) -> None:
        """Returns what was not begun to the head of its part."""
        items = [HandBackItem(entry_id, element.message_id, part) for entry_id, element in entries]
        await source.queue.hand_back(*source.stream, items)

    async def bury(self, source: Source, part: str, entry: Entry, why: str) -> None:
        """Ends a message that cannot be handled; one that a newer release wrote is left for it."""
        try:
            group = await self._groups.get(source.queue, part)
        except NewerVersionError:
            log.warning("newer_group_left", part=part, messages=1)
            return
        if decode([entry]).newer:
            log.warning("newer_blobs_left", part=part, messages=1)
            return
        await self._bury(source, group, entry, why)

    async def _pieces(self, ctx: Slice, pieces: Sequence[Sequence[Held]], stopping: asyncio.Event) -> None:
        for number, piece in enumerate(pieces, 1):
            try:
                await self._piece(ctx, piece, stopping)
            except UnavailableError:
                # Left to recovery they would count as lost by their sender, and be dead after a long outage.
                for each in pieces[number:]:
                    await self._delivery.hand_back(ctx, each)
                raise

    async def _piece(self, ctx: Slice, piece: Sequence[Held], stopping: asyncio.Event) -> None:
        waiting = {held.message.id: held for held in piece}
        try:
            async with aclosing(self._render.batches(ctx, waiting, stopping)) as batches:
                async for batch in batches:
                    await self._delivery.deliver(ctx, batch, stopping)
        except TemplateChangedError as exc:
            await self._pause_group(ctx, exc.message)
        except UnavailableError:
            await self._delivery.hand_back(ctx, list(waiting.values()))
            raise
        await self._delivery.hand_back(ctx, list(waiting.values()))

    async def _pause_group(self, ctx: Slice, why: str) -> None:
        """A pinned version is gone; unless the group was pinned anew while we rendered."""
        queue = ctx.source.queue
        now = await self._groups.get(queue, ctx.part)
        if now is not None and now.pins == ctx.group.pins:
            await queue.pause(ctx.group.name, "", ReasonCode.TEMPLATE_CHANGED, why)
            log.warning("group_paused", group=ctx.group.name, reason=ReasonCode.TEMPLATE_CHANGED, text=why)

    async def _bury(self, source: Source, group: Group | None, entry: Entry, why: str) -> None:
        entry_id, element = entry
        code = ReasonCode.DEAD_LETTER
        reference = group.reference(element.message_id) if group else element.message_id
        text = f"{TEXTS[code]} ({why})"
        event = Event(reference, "failed", element.attempt, self._clock.now_ms(), "us", code, text)
        record = b""
        if group:
            shared = group.shared
            kept = MessageRecord(reference, shared.company_code, shared.group_id, kept_blob(element.blob))
            record = pack_records([kept])
        log.error("message_dead", message_id=element.message_id, why=why)
        await source.queue.dead(
            *source.stream,
            entry_id=entry_id,
            message_id=element.message_id,
            reason=why,
            event=pack(event),
            records=record,
        )


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """`count`: most messages taken at once; `seconds`: in which they must be startable; `outcomes`: unrecorded
    entries above which nothing is taken.
    """

    count: int
    seconds: float
    outcomes: int


class Lane:
    """Takes and handles, one slice after the other, for one method: a slow provider keeps no other one waiting.

    Of the lanes of a route one asks the queue, the others work or wait for their turn to ask.
    """

    def __init__(
        self,
        consumer: str,
        queues: Sequence[Queue],
        route: Route,
        handler: SliceHandler,
        holdings: Holdings,
        wake: Wake,
        limits: LaneLimits,
    ) -> None:
        """`consumer`: our name in the queue; `wake`: set when there may be work."""
        self._consumer = route.consumer(consumer)
        self._queues = list(queues)
        self._route = route
        self._handler = handler
        self._holdings = holdings
        self._wake = wake
        self._limits = limits
        self._nonces: dict[int, str] = {}
        """By partition, of a `take` whose answer has not come: asked again, it gives what it gave."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`; what it holds then is finished or handed back."""
        while not stopping.is_set():
            try:
                async with self._route.turn:
                    found = await self._find(stopping)
                if found is not None:
                    await self._handle(*found, stopping)
            except UnavailableError as exc:
                log.warning("lane_waits", error=exc.message)
                await pause(stopping, _ERROR_SECONDS)

    async def _find(self, stopping: asyncio.Event) -> tuple[Queue, Sequence[TakenItem]] | None:
        """Asks until there is work. None: `stopping` came."""
        idle = 0
        while not stopping.is_set():
            ended = 0
            self._queues.append(self._queues.pop(0))
            for queue in self._queues:
                if stopping.is_set() or self._route.rests:
                    break
                taken = await self._take(queue)
                if taken.status == "full":
                    log.warning("outcomes_full", partition=queue.keys.partition)
                    await pause(stopping, _FULL_SECONDS)
                if taken.items:
                    return queue, taken.items
                ended += taken.ended
            idle = 0 if ended else idle + 1
            if idle and not stopping.is_set():
                await self._wake.wait(_IDLE_SECONDS[min(idle, len(_IDLE_SECONDS)) - 1])
        return None

    async def _take(self, queue: Queue) -> Taken:
        partition = queue.keys.partition
        count = self._route.allowance(self._limits.count, self._limits.seconds)
        nonce = self._nonces.setdefault(partition, secrets.token_hex(8))
        taken = await queue.take(self._consumer, nonce, [self._route.method], count, self._limits.outcomes)
        del self._nonces[partition]
        return taken

    async def _handle(self, queue: Queue, items: Sequence[TakenItem], stopping: asyncio.Event) -> None:
        slices = [
            (
                Source(queue, self._route, priority, self._consumer),
                part,
                [(each.entry_id, each.element) for each in group],
            )
            for (priority, part), group in groupby(items, lambda item: (item.priority, item.part))
        ]
        for source, _, entries in slices:
            self._holdings.add(source, [entry_id for entry_id, _ in entries])
        away: UnavailableError | None = None
        for source, part, entries in slices:
            try:
                await self._handler.handle(source, part, entries, stopping)
            except UnavailableError as exc:
                away = exc
            except Exception:
                # One message must not stop the others; recovery isolates it after the lease.
                log.exception("slice_failed", part=part, messages=len(entries))
        if away is not None:
            raise away
