"""What the HTTP fakes share: a server, faults of whole calls, records, webhooks, the API."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

from aiohttp import web

from fakes.control import PREFIX, control_routes
from fakes.faults import Fault, FaultBook, Plan
from fakes.records import Call, Message, Records
from fakes.webhooks import Courier, Occurrence, Post

MAX_BODY = 64 * 1024 * 1024
CALL: web.RequestKey[Call] = web.RequestKey("call", Call)
POLL_S = 0.05
UNANSWERED = "unanswered"
"""Reason of a response that nobody gets: the connection is gone."""
PROXY_STATUSES = {502: "Bad Gateway", 504: "Gateway Time-out"}


class HttpFake(ABC):
    """One provider. A subclass has its routes, its errors and its webhooks."""

    name: ClassVar[str]
    batch: ClassVar[int] = 1
    """Occurrences in one webhook."""
    step_names: ClassVar[dict[str, str]]
    """The provider's word for each step that it tells of."""

    def __init__(self, *, webhook_url: str = "", keep: int = 100_000, name_of_host: str = "127.0.0.1") -> None:
        self.name_of_host = name_of_host
        self.records = Records(keep)
        self.faults = FaultBook()
        self.webhook_url = webhook_url
        self.port = 0
        self._courier = Courier(self.records, self.pack, batch=self.batch)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.name_of_host}:{self.port}"

    @property
    def messages(self) -> list[Message]:
        """What it has taken."""
        return list(self.records.messages)

    @property
    def calls(self) -> list[Call]:
        """What it was asked."""
        return list(self.records.calls)

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen; 0 is any free port."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._record])
        app.add_routes([*control_routes(self), *self.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        await self._courier.start()

    async def stop(self) -> None:
        """Nothing listens any more."""
        await self._courier.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def settled(self, timeout: float = 10.0) -> None:
        """Every webhook has been sent. Raises TimeoutError."""
        await self._courier.settled(timeout)

    def reset(self) -> None:
        """As just started; the webhook stays where it was set to."""
        self.records.clear()
        self.faults.clear()

    def inject(self, what: dict[str, Any]) -> None:
        """`{"id", "event"}`: a step that happens to a message now."""
        message = self.records.message(str(what.get("id", "")))
        if message is None:
            raise ValueError("no such message")
        step = str(what.get("event", ""))
        if step not in self.step_names:
            raise ValueError(f"event is one of {', '.join(self.step_names)}")
        self._courier.put(self._happen(message, [step]))

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The provider's API."""

    @abstractmethod
    def status_error(self, status: int, value: str) -> web.Response:
        """The provider's form of a bare HTTP status; `value` is what stood behind the dot."""

    @abstractmethod
    def named_error(self, name: str) -> web.Response:
        """The provider's own error of this name or code."""

    @abstractmethod
    def occurrence(self, message: Message, step: str) -> Occurrence:
        """The provider's account of a step."""

    @abstractmethod
    def pack(self, occurrences: list[Occurrence]) -> list[Post]:
        """Signed webhooks that tell of these."""

    async def fail(self, request: web.Request, plan: Plan, *, taken: bool) -> web.StreamResponse | None:
        """The fault of the whole call, if it has one; `taken`: the message has been recorded."""
        fault = plan.answer
        if fault is None or fault.taken != taken:
            return None
        call = request[CALL]
        call.fault = str(fault)
        if fault.name == "hang":
            while request.transport is not None:  # noqa: ASYNC110 -- nothing else tells that the caller has left
                await asyncio.sleep(POLL_S)
            return web.Response(reason=UNANSWERED)
        if fault.name == "reset":
            reset(request)
            return web.Response(reason=UNANSWERED)
        return self._answer(fault)

    async def receive(self, request: web.Request, addresses: Iterable[str]) -> Plan:
        """Look up what goes wrong for these, and wait as long as the provider takes."""
        call = request[CALL]
        call.addresses = list(addresses)
        plan = self.faults.plan(call.addresses)
        if plan.latency_s:
            await asyncio.sleep(plan.latency_s)
        return plan

    async def take(self, message: Message, plan: Plan) -> None:
        """The message is the provider's now: record it, and tell of what happens to it."""
        self.records.add_message(message)
        steps = [step for step in plan.steps(message.address) if step in self.step_names]
        occurrences = self._happen(message, steps)
        if message.address in plan.duplicate:
            occurrences = [occurrence for occurrence in occurrences for _ in range(2)]
        if message.address in plan.early:
            await self._courier.send_now(occurrences)
        else:
            self._courier.put(occurrences)

    def target(self, message: Message) -> str:
        """Where the webhooks of this message go."""
        return self.webhook_url

    def _happen(self, message: Message, steps: list[str]) -> list[Occurrence]:
        occurrences = []
        for step in steps:
            message.state = step
            message.events.append(step)
            if self.target(message):
                occurrences.append(self.occurrence(message, step))
        return occurrences

    def _answer(self, fault: Fault) -> web.Response:
        if fault.status is None:
            return self.named_error(fault.value)
        if fault.status in PROXY_STATUSES:
            text = f"<html><body><h1>{fault.status} {PROXY_STATUSES[fault.status]}</h1></body></html>"
            return web.Response(status=fault.status, text=text, content_type="text/html")
        response = self.status_error(fault.status, fault.value)
        if fault.status in {429, 503} and (fault.value or fault.status == 429):
            response.headers["Retry-After"] = fault.value or "1"
        return response

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith(PREFIX):
            answer: web.StreamResponse = await handler(request)
            return answer
        call = Call(self.records.clock(), request.method, request.path, headers=dict(request.headers))
        request[CALL] = call
        self.records.add_call(call)
        begun = time.perf_counter()
        try:
            response: web.StreamResponse = await handler(request)
            call.status = None if response.reason == UNANSWERED else response.status
        except web.HTTPException as error:
            call.status = error.status
            raise
        finally:
            call.duration_ms = (time.perf_counter() - begun) * 1000
        return response

    @classmethod
    @asynccontextmanager
    async def serve(cls, port: int = 0, **options: Any) -> AsyncIterator[Self]:
        """The fake in this process, from here to the end of the block."""
        fake = cls(**options)
        await fake.start(port)
        try:
            yield fake
        finally:
            await fake.stop()


def reset(request: web.Request) -> None:
    """Cut the connection so that the caller sees a reset, not an end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
