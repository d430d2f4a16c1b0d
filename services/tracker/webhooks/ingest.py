"""What becomes of a webhook: verified and read by its provider's file, written durably, and only then answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from morpheus_kit import logs
from morpheus_kit.errors import MalformedError, NotFoundError, UnauthenticatedError
from morpheus_kit.queue.schema import Event
from morpheus_kit.queue.scripts import Queue
from services.tracker.webhooks.base import Inbound, Webhook, partition_of
from services.tracker.webhooks.opt_outs import OptOuts
from services.tracker.webhooks.receipts import ReceiptWriter

log = logs.get_logger(__name__)


class Ingested(NamedTuple):
    """Events that were written; events of it that are not ours or that nobody could understand."""

    written: int
    foreign: int
    unreadable: int


class Webhooks:
    """The webhooks of the configured providers."""

    def __init__(self, webhooks: Sequence[Webhook], queues: Sequence[Queue], opt_outs: OptOuts) -> None:
        """`queues` are all partitions, in order."""
        self._opt_outs = opt_outs
        self._webhooks = {webhook.name: webhook for webhook in webhooks}
        self._writers = [ReceiptWriter(queue) for queue in queues]

    async def ingest(self, provider: str, inbound: Inbound) -> Ingested:
        """Returns when all is durable.

        NotFoundError where the provider has no key, UnauthenticatedError when it is forged, MalformedError when it
        cannot be read (nothing is kept then), UnavailableError when it could not be made durable.
        """
        webhook = self._webhooks.get(provider)
        if webhook is None:
            raise NotFoundError("There is no webhook of this provider: it has no key here.")
        try:
            batch = await webhook.read(inbound)
        except (UnauthenticatedError, MalformedError) as exc:
            log.warning("webhook_refused", provider=provider, reason=exc.message, bytes=len(inbound.body))
            raise
        replies = await self._opt_outs.apply(batch.replies)
        by_partition, foreign = self._sorted([*batch.events, *replies])
        if foreign or batch.unreadable:
            log.warning("webhook_events_dropped", provider=provider, foreign=foreign, unreadable=batch.unreadable)
        for partition, events in by_partition.items():
            await self._writers[partition].write(events)
        return Ingested(len(batch.events) + len(replies) - foreign, foreign, batch.unreadable)

    def _sorted(self, events: Sequence[Event]) -> tuple[Mapping[int, list[Event]], int]:
        """By partition, and how many have no reference of ours, or one of a queue that is laid out otherwise."""
        ours: dict[int, list[Event]] = defaultdict(list)
        foreign = 0
        for event in events:
            partition = partition_of(event.reference)
            if partition is None or partition >= len(self._writers):
                foreign += 1
            else:
                ours[partition].append(event)
        return ours, foreign
