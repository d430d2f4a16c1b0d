"""Wires the tracker together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from morpheus.tracker.v1.tracker_pb2_grpc import add_TrackerServiceServicer_to_server

from morpheus_kit import ids
from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import SystemClock
from morpheus_kit.lifecycle import Task, Unit
from morpheus_kit.queue.opened import Connection, open_queues
from morpheus_kit.rpc.server import RpcServer
from morpheus_kit.unsubscribe import UnsubscribeLinks
from services.tracker.config import Config
from services.tracker.consumer import Consumer
from services.tracker.erasures import Erasures
from services.tracker.housekeeping import Housekeeping, Keeping
from services.tracker.inputs import Inputs
from services.tracker.ledger import Ledgers
from services.tracker.outbox import Outbox
from services.tracker.paging import PageTokens
from services.tracker.privacy_service import Privacy
from services.tracker.queries import Queries
from services.tracker.reporting import Reporting
from services.tracker.service import TrackerService
from services.tracker.store.base import EVERYONE
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.opened import make_store
from services.tracker.suppressions import Suppressions
from services.tracker.unsubscribes import Unsubscribes
from services.tracker.watches import Watches
from services.tracker.webhooks.amazon import Amazon
from services.tracker.webhooks.configured import configured_webhooks
from services.tracker.webhooks.ingest import Webhooks
from services.tracker.webhooks.opt_outs import OptOuts


async def build(config: Config) -> Unit:
    """The service; ConfigError when Redis may lose messages or the records are in use."""
    redis, queues = await open_queues(config.redis_url, partitions=config.partitions, replicas=config.redis_replicas)
    clock = SystemClock()
    store = make_store(config, clock)
    name = ids.consumer_name()
    hasher = AddressHasher(config.address_secret.get_secret_value())
    suppressions = Suppressions(store, queues, hasher, clock)
    erasures = Erasures(store, queues, hasher, Outbox(config.outbox), clock, config.kept)
    consumers = [Consumer(queue, store, suppressions, erasures, clock, name) for queue in queues]

    def recorded_ms(company: str) -> int:
        if company == EVERYONE:
            return min(consumer.recorded_ms for consumer in consumers)
        return consumers[ids.partition_of(company, config.partitions)].recorded_ms

    tokens = PageTokens(config.token_secret.get_secret_value())
    queries = Queries(store, Ledgers(redis, config.partitions), tokens, clock, recorded_ms)
    amazon = Amazon()
    opt_outs = OptOuts(store, suppressions)
    webhooks = Webhooks(configured_webhooks(config, amazon, clock), queues, opt_outs)
    watches = Watches(queries.group, clock, config.watchers)
    reporting, inputs = Reporting(store, clock), Inputs(queries, store)
    links = UnsubscribeLinks(config.address_secret.get_secret_value())
    privacy = Privacy(suppressions, Unsubscribes(links, store, suppressions, queues, clock), erasures)
    service = TrackerService(queries, watches, reporting, inputs, webhooks, privacy, tokens)
    server = RpcServer(config.tracker_addr, lambda each: add_TrackerServiceServicer_to_server(service, each))
    tasks = [Task(f"outcomes-{number}", consumer.main) for number, consumer in enumerate(consumers)]
    tasks.append(Task("suppressions", suppressions.main))
    chores: dict[str, Callable[[], Awaitable[None]]] = {
        "retention": Keeping(store).step,
        "erasures": erasures.sweep,
        "tidy": erasures.tidy,
    }
    if isinstance(store, ElasticsearchStore):
        chores |= {"months": store.make_months, "aliases": store.update_aliases, "feed": store.drop_old_events}
    tasks.append(Task("housekeeping", Housekeeping(chores).main))
    return Unit("tracker", [Connection(redis), store, amazon, *tasks, server], config.grace)
