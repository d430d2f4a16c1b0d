"""Wires the gateway: keys, channels, routes, and uvicorn as a part of the unit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from gateway import interface, problems
from gateway.access import AccessLog
from gateway.bodies import BodyReader
from gateway.config import Config
from gateway.mailbox import Mailbox
from gateway.routes import (
    docs,
    erasures,
    exports,
    groups,
    health,
    messages,
    outbox,
    posts,
    providers,
    repeats,
    reports,
    suppressions,
    unsubscribe,
    webhooks,
)
from gateway.services import Services
from morpheus_kit.clock import Clock, SystemClock
from morpheus_kit.keyring import Keyring
from morpheus_kit.lifecycle import Task, Unit

_SHUTDOWN_RESERVE = 3.0
_BACKLOG = 2048


def make_app(config: Config, services: Services, keyring: Keyring, clock: Clock) -> FastAPI:
    """The application, for a server or for tests."""
    app = FastAPI(
        title="Morpheus",
        version="1",
        summary="Posts a group of messages, and reads what became of each.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.config = config
    app.state.services = services
    app.state.keyring = keyring
    app.state.clock = clock
    app.state.bodies = BodyReader(config.max_body)
    app.state.webhook_bodies = BodyReader(webhooks.MAX_BODY)
    app.state.stopping = asyncio.Event()
    problems.install(app)
    app.add_middleware(AccessLog)
    calls = (posts, groups, repeats, exports, messages, reports, suppressions, erasures, providers)
    for routes in (*calls, webhooks, unsubscribe, health, docs):
        app.include_router(routes.router)
    if config.outbox is not None:
        app.state.mailbox = Mailbox(config.outbox)
        app.include_router(outbox.router)
    interface.describe(app)
    return app


def build(config: Config) -> Unit:
    """The gateway as a unit."""
    services = Services(config)
    app = make_app(config, services, Keyring(config.keys_path), SystemClock())

    async def serve(stopping: asyncio.Event) -> None:
        await _serve(app, config, stopping)

    return Unit("gateway", [services, Task("http", serve)], grace_seconds=config.grace)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the unit has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


async def _serve(app: FastAPI, config: Config, stopping: asyncio.Event) -> None:
    settings = uvicorn.Config(
        app,
        host=config.host,
        port=config.port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(config.grace - _SHUTDOWN_RESERVE)),
    )
    server = _Server(settings)
    # Bound here: uvicorn would end the process by itself where a port is taken.
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.create_server((config.host, config.port), family=family, backlog=_BACKLOG)
    serving = asyncio.ensure_future(server.serve([listener]))
    asked = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([serving, asked], return_when=asyncio.FIRST_COMPLETED)
    app.state.stopping.set()
    server.should_exit = True
    asked.cancel()
    await serving
