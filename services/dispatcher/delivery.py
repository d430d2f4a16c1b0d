"""The last steps of a slice: gate, provider, commit. The order is what keeps messages from going twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

from morpheus_kit import logs
from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import Clock
from morpheus_kit.errors import NotFoundError, UnavailableError
from morpheus_kit.lifecycle import pause
from morpheus_kit.queue.runner import MAX_ITEMS
from morpheus_kit.queue.scripts import CommitItem, GateAnswer, GateItem, HandBackItem
from morpheus_kit.reasons import ReasonCode
from services.dispatcher import pacing, results
from services.dispatcher.composition import Rejected, compose
from services.dispatcher.cost import Costing
from services.dispatcher.lookups import next_ask_ms
from services.dispatcher.pauses import Wake
from services.dispatcher.providers.base import Outgoing
from services.dispatcher.results import Held
from services.dispatcher.slices import Slice
from services.dispatcher.verdicts import MAX_TEXT, Answer, Policies, Verdict, decide

log = logs.get_logger(__name__)
_PAUSE_SECONDS = 0.5
# For messages that only a resting provider may get: they go back to the head of their part.
_BOUND_SECONDS = 1.0


class Delivery:
    """Sends rendered messages and records what became of them."""

    def __init__(
        self, clock: Clock, policies: Policies, costing: Costing, hasher: AddressHasher, timer_wake: Wake
    ) -> None:
        """`timer_wake` is set when something was put off for a short while."""
        self._clock = clock
        self._policies = policies
        self._costing = costing
        self._hasher = hasher
        self._timer_wake = timer_wake

    async def deliver(self, ctx: Slice, batch: Sequence[Held], stopping: asyncio.Event) -> None:
        """Everything from composing to the commit. When `stopping` comes, the rest is handed back."""
        bound: dict[str, list[Held]] = {}
        for held in batch:
            bound.setdefault(held.element.provider or ctx.route.provider.name, []).append(held)
        for provider, messages in bound.items():
            route = ctx.source.route.to(provider) or ctx.source.route.without(provider)
            if route is not ctx.source.route and route.outlet.rests:
                log.warning("bound_messages_wait", provider=provider, part=ctx.part, messages=len(messages))
                await pause(stopping, _BOUND_SECONDS)
                await self.hand_back(ctx, messages)
            else:
                await self._deliver(replace(ctx, via=route), messages, stopping)

    async def _deliver(self, ctx: Slice, batch: Sequence[Held], stopping: asyncio.Event) -> None:
        ready, rejected = await asyncio.to_thread(
            compose, batch, ctx.group, self._clock.now(), ctx.route.provider, self._costing
        )
        if rejected:
            await self._reject(ctx, rejected)
        while ready:
            began = self._clock.monotonic()
            room = await ctx.route.slots.acquire(min(len(ready), MAX_ITEMS))
            try:
                if stopping.is_set():
                    break
                tokens = await pacing.ask(ctx, room)
                starting, ready = ready[: tokens.given], ready[tokens.given :]
                if starting:
                    await self._send(ctx, starting, stopping, watched=tokens.watched)
            finally:
                await ctx.route.slots.release(room)
            if starting:
                ctx.route.note(len(starting), self._clock.monotonic() - began)
            elif not await pacing.wait(ctx, tokens.wait_ms, stopping):
                break
        await self.hand_back(ctx, ready)

    async def hand_back(self, ctx: Slice, held: Sequence[Held]) -> None:
        """Returns what was not started to the head of its part."""
        for start in range(0, len(held), MAX_ITEMS):
            items = [HandBackItem(each.entry_id, each.message.id, ctx.part) for each in held[start : start + MAX_ITEMS]]
            await ctx.source.queue.hand_back(*ctx.source.stream, items)

    async def _reject(self, ctx: Slice, rejected: Sequence[Rejected]) -> None:
        now_ms = self._clock.now_ms()
        items = [results.rejection(each.held, ctx.group, each.code, each.text, now_ms) for each in rejected]
        packed = await asyncio.to_thread(results.records, [each.held for each in rejected], ctx.group)
        await self._commit(ctx, items, packed)

    async def _send(self, ctx: Slice, starting: Sequence[Held], stopping: asyncio.Event, *, watched: bool) -> None:
        # Before the gate: if it fails, nothing is marked and nothing sent.
        packed = await asyncio.to_thread(results.records, starting, ctx.group)
        answers = await self._gate(ctx, starting, stopping)
        if answers is None:
            await self.hand_back(ctx, starting)
            return
        going = [held for held, answer in zip(starting, answers, strict=True) if answer == "go"]
        if not going:
            await pacing.tell(ctx, [], watched=watched)
            return
        if len(going) < len(starting):
            packed = await asyncio.to_thread(results.records, going, ctx.group)
        partition = ctx.source.queue.keys.partition
        sender = ctx.group.composer.sender if ctx.group.composer else ctx.group.shared.from_address
        outgoing = [
            Outgoing(
                held.message.id,
                held.element.attempt,
                ctx.group.reference(held.message.id),
                partition,
                held.address,
                sender,
                held.payload,
            )
            for held in going
        ]
        handed_over_ms = self._clock.now_ms()
        for held in going:
            held.handed_over_ms = handed_over_ms
        verdicts = await ctx.route.provider.send(outgoing)
        await pacing.tell(ctx, verdicts, watched=watched)
        await self._pause_group(ctx, verdicts)
        await self._commit(ctx, self._items(ctx, going, verdicts), packed)

    async def _pause_group(self, ctx: Slice, verdicts: Sequence[Verdict]) -> None:
        """Where the provider lacks what the group asks for, with its words; before the messages wait again."""
        words = next((each.text for each in verdicts if each.answer is Answer.CONFIGURATION), None)
        if words is None:
            return
        try:
            await ctx.source.queue.pause(ctx.group.name, "", ReasonCode.PROVIDER_CONFIGURATION, words[:MAX_TEXT])
        except (NotFoundError, UnavailableError) as exc:
            # The next message of the group is told the same, and pauses it.
            log.warning("group_not_paused", group=ctx.group.name, error=exc.message)
        else:
            log.warning("group_paused", group=ctx.group.name, reason=ReasonCode.PROVIDER_CONFIGURATION, text=words)

    def _items(self, ctx: Slice, going: Sequence[Held], verdicts: Sequence[Verdict]) -> list[CommitItem]:
        now_ms = self._clock.now_ms()
        provider = ctx.route.provider.name
        items = []
        soon = False
        for held, verdict in zip(going, verdicts, strict=True):
            decision = decide(
                verdict, held.element.tries, ctx.route.waits, random.random, in_doubt=bool(held.element.provider)
            )
            if verdict.answer is Answer.PAUSED:
                pacing.rest(ctx, decision.wait_seconds)
            soon = soon or 0 < decision.wait_seconds < 1
            policy = self._policies.choose(ctx.group.shared.on_uncertain, held.address)
            item = results.commit_item(held, ctx.group, decision, verdict, provider, now_ms, policy)
            if item.result == "uncertain" and ctx.route.outlet.can_look_up:
                item = item._replace(ask_ms=next_ask_ms(now_ms, item.due_ms, item.due_ms - now_ms))
            items.append(item)
        if soon:
            self._timer_wake.set()
        return items

    async def _gate(self, ctx: Slice, starting: Sequence[Held], stopping: asyncio.Event) -> list[GateAnswer] | None:
        """Asks until there is an answer; None when `stopping` came first. Not confirmed as durable = not sent."""
        company = ctx.group.shared.company_code
        items = [
            GateItem(
                each.entry_id,
                each.message.id,
                each.element.attempt,
                ctx.part,
                self._hasher.hash(company, each.message.address),
            )
            for each in starting
        ]
        while not stopping.is_set():
            try:
                return await ctx.source.queue.gate(*ctx.source.stream, items)
            except UnavailableError as exc:
                log.warning("gate_waits", part=ctx.part, error=exc.message, messages=len(items))
                await pause(stopping, _PAUSE_SECONDS)
        return None

    async def _commit(self, ctx: Slice, items: Sequence[CommitItem], packed: bytes) -> None:
        """Until it is recorded: what was sent must not be sent again only because the queue was away."""
        while True:
            try:
                effects = await ctx.source.queue.commit_sends(*ctx.source.stream, items, packed)
            except UnavailableError as exc:
                log.warning("commit_waits", part=ctx.part, error=exc.message, messages=len(items))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if not all(effects):
                log.warning("commit_without_effect", part=ctx.part, messages=effects.count(False))
            return
