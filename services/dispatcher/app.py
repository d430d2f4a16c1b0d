"""Wires the dispatcher together: the only file that knows which part talks to which."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

import grpc.aio
from morpheus.dispatcher.v1 import dispatcher_pb2_grpc
from redis.asyncio import Redis

from morpheus_kit import logs
from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import SystemClock
from morpheus_kit.config import ConfigError
from morpheus_kit.errors import UnavailableError
from morpheus_kit.ids import consumer_name
from morpheus_kit.lifecycle import Part, Task, Unit
from morpheus_kit.prices import read_prices
from morpheus_kit.queue.opened import open_queues
from morpheus_kit.queue.pacing import Pace
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.server import RpcServer
from morpheus_kit.unsubscribe import UnsubscribeLinks
from services.dispatcher.accounts import make_paces
from services.dispatcher.config import Config
from services.dispatcher.cost import Costing
from services.dispatcher.delivery import Delivery
from services.dispatcher.groups import Groups
from services.dispatcher.holdings import Holdings
from services.dispatcher.jobs import Jobs
from services.dispatcher.lookups import LOOK_UPS_PER_SECOND, LookUps
from services.dispatcher.outlets import Outlets
from services.dispatcher.pauses import Wake
from services.dispatcher.providers.base import CanLookUp, Provider
from services.dispatcher.providers.bird import BirdProvider
from services.dispatcher.providers.mandrill import MandrillProvider
from services.dispatcher.providers.ses import SesProvider
from services.dispatcher.providers.smtp import SmtpProvider
from services.dispatcher.providers.smtp_url import parse_smtp_url
from services.dispatcher.providers.test import TestProvider
from services.dispatcher.providers.twilio import TwilioProvider
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.recovery import Recovery, UncertainStep
from services.dispatcher.rendered import RenderStep
from services.dispatcher.rendering import Renderer
from services.dispatcher.routes import Outlet, Route, choices
from services.dispatcher.sender import Lane, LaneLimits, SliceHandler
from services.dispatcher.service import DispatcherService
from services.dispatcher.timer import Timer
from services.dispatcher.verdicts import Policies, Waits

log = logs.get_logger(__name__)
Main = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


async def build(config: Config) -> Unit:
    """The whole service. ConfigError when the queue could lose messages."""
    redis, queues = await open_queues(config.redis_url, partitions=config.partitions, replicas=config.redis_replicas)
    clock = SystemClock()
    names = Names()
    consumer = names.new()
    work, due = Wake(), Wake()
    receipts = ReceiptRunner(dict(enumerate(queues)), clock)
    routes = make_routes(config, make_paces(config, redis), receipts, clock)
    policies = Policies(config.uncertain_email, config.uncertain_sms)
    secret = config.address_secret.get_secret_value()
    hasher = AddressHasher(secret)
    costing = Costing(read_prices(config.prices_file), downgrade=config.sms_downgrade)
    renderer = Renderer(config.renderer_addr, config.render_timeout)
    groups = Groups(UnsubscribeLinks(secret, config.public_url) if config.public_url else None)
    holdings = Holdings(config.lease)
    render = RenderStep(renderer)
    handler = SliceHandler(groups, render, Delivery(clock, policies, costing, hasher, due), holdings, clock)
    uncertain = UncertainStep(groups, render, holdings, policies, clock)
    limits = LaneLimits(config.slice, config.lease / 3, config.outcomes_limit)
    lanes: list[Main] = [
        # A name for each: the queue remembers one answer of `take` for a name.
        Lane(names.new(), queues, route, handler, holdings, work, limits).run
        for route in routes
        for _ in range(config.senders)
    ]
    recovery: list[Main] = [
        Recovery(names.new, queue, routes, handler, uncertain, lease_seconds=config.lease).run for queue in queues
    ]
    jobs = [Jobs(consumer, queue, renderer, groups, work, lease_seconds=config.lease) for queue in queues]
    timers = [Timer(queue, clock, due, work) for queue in queues]
    outlets = Outlets([route.outlet for route in routes], clock)

    def register(server: grpc.aio.Server) -> None:
        dispatcher_pb2_grpc.add_DispatcherServiceServicer_to_server(DispatcherService(queues, outlets, work), server)

    look_ups = make_look_ups(routes, queues, receipts, clock, config.uncertain_after)
    parts: list[Part] = [
        Connection(redis, queues, routes, names),
        renderer,
        *[ProviderPart(provider) for provider in {id(route.provider): route.provider for route in routes}.values()],
        RpcServer(config.dispatcher_addr, register),
        Task("receipts", receipts.run),
        Task("rates", outlets.run),
        *[Task("look_ups", each.run) for each in look_ups],
        Task("renewal", holdings.run),
        Task("timer", together([each.run for each in timers])),
        Task("jobs", together([each.run for each in jobs])),
        Task("senders", together([*lanes, *recovery])),
    ]
    return Unit("dispatcher", parts, grace_seconds=config.grace)


def make_routes(config: Config, paces: Mapping[str, Pace], receipts: ReceiptRunner, clock: SystemClock) -> list[Route]:
    """The methods that this configuration can send by."""
    waits = Waits(config.retry_delays, config.uncertain_after)
    test = TestProvider(config.outbox, receipts, clock, config.test_time_scale)
    routes = [Route("test", test, waits.scaled(config.test_time_scale), clock)]
    outlets = by_name(make_email_providers(config, clock), paces, clock)
    routes += [Route(name, outlet.provider, waits, clock, outlet=outlet) for name, outlet in outlets.items()]
    texts = by_name(make_sms_providers(config), paces, clock)
    routes += choices("email", in_order("EMAIL_ROUTE", config.email_route, outlets), waits, clock)
    return routes + choices("sms", in_order("SMS_ROUTE", config.sms_route, texts), waits, clock)


def by_name(providers: Iterable[Provider], paces: Mapping[str, Pace], clock: SystemClock) -> dict[str, Outlet]:
    """An outlet for each, with the pace of its account."""
    return {provider.name: Outlet(provider, clock, paces[provider.name]) for provider in providers}


def in_order(setting: str, wanted: Sequence[str], outlets: Mapping[str, Outlet]) -> list[Outlet]:
    """The outlets of a route; all of them where none is named."""
    missing = [name for name in wanted if name not in outlets]
    if missing:
        raise ConfigError(f"MORPHEUS_{setting}: {missing[0]} is not configured")
    return [outlets[name] for name in wanted or outlets]


def make_email_providers(config: Config, clock: SystemClock) -> Iterator[Provider]:
    """Those that are configured, in the order in which `email` tries them."""
    if config.ses_configuration_set:
        yield SesProvider(
            region=os.environ.get("AWS_REGION", ""),
            endpoint_url=config.ses_endpoint_url,
            configuration_set=config.ses_configuration_set,
            connections=config.ses_connections,
            timeout=config.provider_timeout,
        )
    if config.mandrill_key:
        yield MandrillProvider(
            config.mandrill_url,
            config.mandrill_key,
            connections=config.mandrill_connections,
            timeout=config.provider_timeout,
        )
    if config.smtp_url:
        yield SmtpProvider(
            parse_smtp_url(config.smtp_url),
            clock,
            return_path=config.smtp_return_path,
            connections=config.smtp_connections,
            timeout=config.provider_timeout,
        )


def make_sms_providers(config: Config) -> Iterator[Provider]:
    """Those that are configured, in the order in which `sms` tries them."""
    if config.twilio_account_sid:
        yield TwilioProvider(
            config.twilio_account_sid,
            config.twilio_auth_token,
            url=config.twilio_url,
            public_url=config.public_url,
            connections=config.twilio_connections,
            timeout=config.provider_timeout,
        )
    if config.bird_key:
        yield BirdProvider(
            config.bird_key, url=config.bird_url, connections=config.bird_connections, timeout=config.provider_timeout
        )


def make_look_ups(
    routes: Sequence[Route],
    queues: Sequence[Queue],
    receipts: ReceiptRunner,
    clock: SystemClock,
    uncertain_after: float,
) -> list[LookUps]:
    """One for each provider that can be asked for messages in doubt."""
    made = []
    for outlet in {route.provider.name: route.outlet for route in routes}.values():
        if isinstance(outlet.provider, CanLookUp) and outlet.pace:
            pace = outlet.pace.beside("look-ups", rate=LOOK_UPS_PER_SECOND)
            made.append(LookUps(outlet.provider, pace, queues, receipts, clock, uncertain_after))
    return made


def together(mains: Sequence[Main]) -> Main:
    """Several endless coroutines as one: the death of one ends them all."""

    async def main(stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for each in mains:
                group.create_task(each(stopping))

    return main


class ProviderPart:
    """A provider as a part of the unit."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def start(self) -> None:
        """Ready to send."""
        await self._provider.start()

    async def stop(self) -> None:
        """Closes its connections."""
        await self._provider.stop()


class Names:
    """The names of this process in the queue."""

    def __init__(self) -> None:
        self.used: list[str] = []

    def new(self) -> str:
        """One more."""
        self.used.append(consumer_name())
        return self.used[-1]


class Connection:
    """The connection to the queue: consumer groups at the start, no trace of this process at the end."""

    def __init__(self, redis: Redis, queues: Sequence[Queue], routes: Sequence[Route], names: Names) -> None:
        self._redis = redis
        self._queues = queues
        self._routes = routes
        self._names = names

    async def start(self) -> None:
        """Makes the consumer groups."""
        for queue in self._queues:
            await queue.prepare()

    async def stop(self) -> None:
        """Leaves the consumer groups where nothing is pending, and closes."""
        try:
            for queue in self._queues:
                for name, methods in self._consumers().items():
                    stays = await queue.leave(name, methods)
                    log.info("queue_left", consumer=name, groups_held=stays)
        except UnavailableError as exc:
            log.warning("queue_not_left", error=exc.message)
        await self._redis.aclose()

    def _consumers(self) -> dict[str, list[str]]:
        """All names, and the methods under which each may hold something."""
        found: dict[str, list[str]] = {}
        for name in self._names.used:
            for route in self._routes:
                found.setdefault(route.consumer(name), []).append(route.method)
        return found
