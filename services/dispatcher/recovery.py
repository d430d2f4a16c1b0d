"""Recovery: takes over what a silent sender held.

Without a mark nothing was sent: it is handled again, alone when it was taken over twice, for then it may be what
kills senders; alone three times, and it is dead. With a mark it may have been sent: it becomes uncertain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Any

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.errors import MorpheusError, UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.scripts import Claimed, Queue, RecoverItem
from services.dispatcher import results
from services.dispatcher.groups import Groups
from services.dispatcher.holdings import Holdings
from services.dispatcher.lookups import next_ask_ms
from services.dispatcher.rendered import RenderStep
from services.dispatcher.results import Held
from services.dispatcher.routes import Route
from services.dispatcher.sender import SliceHandler
from services.dispatcher.slices import Slice, Source, decode, split
from services.dispatcher.verdicts import Policies

log = logs.get_logger(__name__)
_COUNT = 100
PRIORITIES = ("high", "normal")
# A delivery is the taking and each taking over: from the third on it is handled alone, the sixth time not at all.
ALONE_FROM = 3
DEAD_FROM = 6
# A provider keeps idempotency keys for some hours.
_REPEATABLE_MS = 3_600_000


class UncertainStep:
    """Makes marked messages uncertain; rendered again before, so that their records have a body."""

    def __init__(
        self, groups: Groups, render: RenderStep, holdings: Holdings, policies: Policies, clock: Clock
    ) -> None:
        self._groups = groups
        self._render = render
        self._holdings = holdings
        self._policies = policies
        self._clock = clock

    async def settle(self, source: Source, part: str, claimed: Sequence[Claimed], stopping: asyncio.Event) -> None:
        """Messages of one part. UnavailableError: queue or renderer are away, it is tried again after the lease."""
        ids = [each.entry_id for each in claimed]
        self._holdings.add(source, ids)
        try:
            group = await self._groups.get(source.queue, part)
            if group is None:
                log.error("marked_without_group", part=part, messages=len(claimed))
                return
            ctx = Slice(source, part, group)
            providers = {
                each.entry_id: each.element.provider or source.route.provider_of(each.mark or "") for each in claimed
            }
            decoded = decode([(each.entry_id, each.element) for each in claimed])
            for piece in split(decoded.held):
                await self._piece(ctx, piece, providers, stopping)
        finally:
            self._holdings.drop(source, ids)

    async def _piece(
        self, ctx: Slice, piece: Sequence[Held], providers: Mapping[str, str], stopping: asyncio.Event
    ) -> None:
        waiting = {held.message.id: held for held in piece}
        try:
            async with aclosing(self._render.batches(ctx, waiting, stopping)) as batches:
                async for batch in batches:
                    await self._commit(ctx, batch, providers)
        except UnavailableError:
            raise
        except MorpheusError as exc:
            log.warning("reconstruction_failed", part=ctx.part, error=exc.message, messages=len(waiting))
            await self._commit(ctx, list(waiting.values()), providers)

    async def _commit(self, ctx: Slice, batch: Sequence[Held], providers: Mapping[str, str]) -> None:
        items = [self._item(ctx, held, providers[held.entry_id]) for held in batch]
        packed = await asyncio.to_thread(results.records, batch, ctx.group, reconstructed=True)
        await ctx.source.queue.recover(*ctx.source.stream, items, packed)

    def _item(self, ctx: Slice, held: Held, provider: str) -> RecoverItem:
        """Uncertain until its policy decides, or until the provider has been asked. One that takes an idempotency key
        and has been called lately is called again at once, which sends nothing twice.
        """
        now_ms, route = self._clock.now_ms(), ctx.source.route.to(provider)
        wait_ms = round(ctx.route.waits.uncertain_after * 1000)
        policy = self._policies.choose(ctx.group.shared.on_uncertain, held.message.address)
        # The time of taking, a little before the call.
        taken_ms = int(held.entry_id.partition("-")[0])
        if route is not None and route.provider.takes_key and now_ms - taken_ms < _REPEATABLE_MS:
            wait_ms, policy = 0, "resend"
        item = results.recovery(held, ctx.group, provider, now_ms, now_ms + wait_ms, policy)
        if route is not None and route.outlet.can_look_up:
            return item._replace(ask_ms=next_ask_ms(now_ms, now_ms + wait_ms, wait_ms))
        return item


class Recovery:
    """Takes over entries of one partition.

    It works under a name of its own, and under a new one after a failure: a consumer never takes over from itself,
    so this is how what a lane (or this recovery) dropped is found again by the process that dropped it.
    """

    def __init__(
        self,
        new_name: Callable[[], str],
        queue: Queue,
        routes: Sequence[Route],
        handler: SliceHandler,
        uncertain: UncertainStep,
        *,
        lease_seconds: float,
    ) -> None:
        self._new_name = new_name
        self._consumer = new_name()
        self._queue = queue
        self._routes = routes
        self._handler = handler
        self._uncertain = uncertain
        self._lease = lease_seconds
        self._away = False
        self._failed = False

    async def run(self, stopping: asyncio.Event) -> None:
        """At the start and then each third of the lease, until `stopping`."""
        while not stopping.is_set():
            await self.turn(stopping)
            await pause(stopping, self._lease / 3)

    async def turn(self, stopping: asyncio.Event) -> None:
        """Everything whose lease ran out. What fails is left to the next owner and stops nothing else."""
        self._away = self._failed = False
        for route in self._routes:
            for priority in PRIORITIES if route.chosen else ():
                source = Source(self._queue, route, priority, route.consumer(self._consumer))
                await self._attempt(self._take_over(source, stopping))
        if self._failed:
            self._consumer = self._new_name()

    async def _take_over(self, source: Source, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            claimed = await self._queue.claim(*source.stream, round(self._lease * 1000), _COUNT)
            if claimed:
                log.warning("entries_taken_over", method=source.route.method, entries=len(claimed))
            for part, group in groupby(claimed, lambda each: each.part):
                await self._part(source, part, list(group), stopping)
            if len(claimed) < _COUNT:
                return

    async def _part(self, source: Source, part: str, claimed: Sequence[Claimed], stopping: asyncio.Event) -> None:
        marked = [each for each in claimed if each.mark is not None]
        if marked and not self._away:
            await self._attempt(self._uncertain.settle(source, part, marked, stopping))
        unmarked = [each for each in claimed if each.mark is None]
        for slice_ in slices_of(unmarked):
            entries = [(each.entry_id, each.element) for each in slice_]
            if self._away:
                await self._handler.give_back(source, part, entries)
            else:
                await self._attempt(self._handler.handle(source, part, entries, stopping))
        for each in unmarked:
            if each.deliveries >= DEAD_FROM:
                entry = (each.entry_id, each.element)
                await self._attempt(self._handler.bury(source, part, entry, "its senders died of it or lost it"))

    async def _attempt(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except UnavailableError as exc:
            log.warning("recovery_waits", error=exc.message)
            self._away = self._failed = True
        except Exception:
            # What was claimed is claimed again after the lease.
            log.exception("recovery_failed")
            self._failed = True


def slices_of(unmarked: Sequence[Claimed]) -> list[list[Claimed]]:
    """What is handled together and what alone; the dead are left out."""
    together = [each for each in unmarked if each.deliveries < ALONE_FROM]
    alone = [[each] for each in unmarked if ALONE_FROM <= each.deliveries < DEAD_FROM]
    return ([together] if together else []) + alone
