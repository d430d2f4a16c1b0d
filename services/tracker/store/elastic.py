"""The record store of production: Elasticsearch, any number of processes."""

from __future__ import annotations

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from morpheus_kit.config import ConfigError
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.retention import KEPT_A_YEAR, Retention
from services.tracker.documents import Document
from services.tracker.store import elastic_queries as queries
from services.tracker.store.base import GroupFilter, GroupRow, MessageFilter, Position, StoreDownError, Written
from services.tracker.store.elastic_aliases import update_aliases
from services.tracker.store.elastic_client import Cluster, ClusterOptions
from services.tracker.store.elastic_erasures import ElasticErasures
from services.tracker.store.elastic_feed import ElasticFeed
from services.tracker.store.elastic_groups import Groups
from services.tracker.store.elastic_keeping import drop_over
from services.tracker.store.elastic_privacy import ElasticPrivacy
from services.tracker.store.elastic_reports import ElasticReports
from services.tracker.store.elastic_writer import ElasticWriter
from services.tracker.store.keeping import kept
from services.tracker.store.months import month_of

log = logs.get_logger(__name__)

_AHEAD_MS = 7 * 24 * 3_600_000
_LAG_MS = 1_250
"""The refresh interval of the indices, and a little for the refresh itself."""


class ElasticsearchStore(ElasticReports, ElasticPrivacy, ElasticErasures):
    """A record store in a cluster. What it has acknowledged is on the disks of the primary and of its replicas."""

    exclusive = False
    lag_ms = _LAG_MS

    def __init__(self, options: ClusterOptions, clock: Clock, retention: Retention = KEPT_A_YEAR) -> None:
        """Nothing is sent before `start`."""
        ElasticPrivacy.__init__(self)
        ElasticErasures.__init__(self)
        self._options = options
        self._clock = clock
        self._retention = retention
        self._cluster: Cluster | None = None

    async def start(self) -> None:
        """Brings the schema up to date. ConfigError for what can never work; an outage is waited for later."""
        cluster = self._cluster = Cluster(self._options)
        self._groups = Groups(cluster)
        self._feed = ElasticFeed(cluster, self._clock)
        self._writer = ElasticWriter(cluster, self._groups, self._feed, self._clock)
        try:
            await cluster.prepare()
        except StoreDownError as exc:
            log.warning("records_wait", error=str(exc))
        except ConfigError:
            await cluster.close()
            raise

    async def stop(self) -> None:
        """Closes the connections."""
        if self._cluster is not None:
            await self._cluster.close()

    async def write(self, outcome: Outcome) -> Written:
        """Each document read, folded, and written if it has not changed meanwhile."""
        await self._ready()
        return await self._writer.write(kept(outcome, self._retention, self._clock.now_ms()))

    async def drop_over(self, limit: int) -> int:
        """One step of `elastic_keeping`."""
        return await drop_over(await self._ready(), self._retention, self._clock.now_ms(), limit)

    async def group(self, company: str, group_id: str) -> GroupRow | None:
        """One group."""
        cluster = await self._ready()
        return await queries.read_group(cluster, self._groups, self._clock.now_ms(), company, group_id)

    async def groups(self, company: str, wanted: GroupFilter, after: Position | None, limit: int) -> list[GroupRow]:
        """One page of groups."""
        cluster = await self._ready()
        return await queries.read_groups(cluster, self._clock.now_ms(), company, wanted, (after, limit))

    async def messages(self, company: str, wanted: MessageFilter, after: Position | None, limit: int) -> list[Document]:
        """One page of messages."""
        cluster = await self._ready()
        return await queries.read_messages(cluster, self._groups, self._clock.now_ms(), company, wanted, (after, limit))

    async def message(self, company: str, message_id: str) -> Document | None:
        """One message with its body."""
        return await queries.read_message(await self._ready(), self._groups, company, message_id)

    async def make_months(self) -> None:
        """Makes the index of this month and, some days ahead, of the next: no question meets one half made."""
        cluster, now = await self._ready(), self._clock.now_ms()
        for month in sorted({month_of(now), month_of(now + _AHEAD_MS)}):
            await cluster.index(month)

    async def drop_old_events(self) -> None:
        """Deletes what of the feed is older than it is kept. StoreDownError."""
        await self._ready()
        await self._feed.drop_old()

    async def update_aliases(self) -> None:
        """Gives each company its alias `message-<company>`. StoreDownError."""
        await update_aliases(await self._ready())

    async def _ready(self) -> Cluster:
        if self._cluster is None:
            raise StoreDownError("The record store is not open.")
        await self._cluster.ready()
        return self._cluster
