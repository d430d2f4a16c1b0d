"""A whole dispatcher over a real Valkey, with a small renderer as a real gRPC server, for the tests of this folder."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from morpheus.dispatcher.v1 import dispatcher_pb2_grpc
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.errors import TemplateChangedError, ThrottledError
from morpheus_kit.ids import message_id, reference_prefix
from morpheus_kit.lifecycle import Unit
from morpheus_kit.queue import schema
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.outcomes import Outcome, unpack_outcome
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from services.dispatcher.app import build
from services.dispatcher.config import Config
from tests.integration.commits import commit_of

LEDGER = ("waiting", "sending", "uncertain", "ended")


class FakeRenderer(renderer_pb2_grpc.RendererServiceServicer):
    """Echoes; does as the attributes say."""

    def __init__(self) -> None:
        self.failure: renderer_pb2.Failure | None = None
        self.fails_for: set[str] = set()
        """Addresses that have a variable missing."""
        self.breaks_for: set[str] = set()
        """Addresses at which it breaks without a word."""
        self.changed = False
        self.busy = 0
        """How many further slices are told to come later."""
        self.version = "1"
        self.delay = 0.0
        self.slices: list[list[str]] = []
        """Addresses of each request."""
        self.pins: list[dict[str, str]] = []
        self.attachments: list[renderer_pb2.Attachment] = []

    async def WarmTemplates(self, request: Any, context: Any) -> renderer_pb2.WarmTemplatesResponse:
        if self.failure is not None:
            return renderer_pb2.WarmTemplatesResponse(failure=self.failure)
        return renderer_pb2.WarmTemplatesResponse(versions=dict.fromkeys(request.paths, self.version))

    async def RenderMessages(
        self, request: renderer_pb2.RenderMessagesRequest, context: Any
    ) -> AsyncIterator[renderer_pb2.RenderMessagesResponse]:
        addresses = [message.address for message in request.messages]
        self.slices.append(addresses)
        self.pins.append(dict(request.group.versions))
        if self.busy:
            self.busy -= 1
            raise ThrottledError(retry_after=1)
        if self.changed:
            raise TemplateChangedError("letter.html is gone")
        if self.breaks_for.intersection(addresses):
            raise RuntimeError("broken")
        await asyncio.sleep(self.delay)
        half = len(request.messages) // 2
        for chunk in (request.messages[:half], request.messages[half:]):
            yield renderer_pb2.RenderMessagesResponse(messages=[self._rendered(each) for each in chunk])

    def PreviewMessages(self, request: Any, context: Any) -> AsyncIterator[renderer_pb2.PreviewMessagesResponse]:
        """No dispatcher asks for it."""
        raise NotImplementedError

    async def ValidateTemplate(self, request: Any, context: Any) -> renderer_pb2.ValidateTemplateResponse:
        """No dispatcher asks for it."""
        raise NotImplementedError

    def _rendered(self, message: renderer_pb2.MessageContent) -> renderer_pb2.RenderedMessage:
        if message.address in self.fails_for:
            failure = renderer_pb2.Failure(code="variable_missing", text="`number` is missing")
            return renderer_pb2.RenderedMessage(id=message.id, failure=failure)
        return renderer_pb2.RenderedMessage(
            id=message.id,
            subject=f"Hello {message.first_name}",
            html=f"<p>Hello {message.first_name}</p>",
            text=f"Hello {message.first_name}",
            attachments=self.attachments,
        )


@dataclass
class Rig:
    """The queue as intake and tracker see it, and the outbox."""

    queue: Queue
    renderer: FakeRenderer
    outbox: Path
    environ: dict[str, str] = field(default_factory=dict)

    def config(self, **more: str) -> Config:
        """A dispatcher's configuration, with a short lease."""
        return Config.load({f"MORPHEUS_{name.upper()}": value for name, value in (self.environ | more).items()})

    @asynccontextmanager
    async def dispatcher(self, **more: str) -> AsyncIterator[Unit]:
        """A running dispatcher, stopped in order at the end."""
        unit = await build(self.config(**more))
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(unit.serve(stopping))
            try:
                await _until_serving(unit)
                yield unit
            finally:
                stopping.set()

    async def post(
        self,
        addresses: Sequence[str],
        *,
        group_id: str = "g",
        method: str = "test",
        blobs: Sequence[bytes] = (),
        **shared_fields: Any,
    ) -> schema.SharedInfo:
        """Queues one part, as intake does."""
        now = time.time_ns() // 1_000_000
        prefix = reference_prefix("202611", 0, "acme", group_id)
        values: dict[str, Any] = {
            "outer_template": "outer.html",
            "subject_template": "Hello",
            "from_address": "Acme <hello@acme.example>",
            "reference_prefix": prefix,
        }
        shared = schema.SharedInfo(
            schema.VERSION, "acme", group_id, method, method, "letter.html", **(values | shared_fields)
        )
        elements = []
        for index, address in enumerate(addresses):
            own = message_id("acme", group_id, 0, index)
            message = schema.QueuedMessage(schema.VERSION, own, index, 0, now, address, f"Person{index}")
            elements.append(pack_element(own, blobs[index] if index < len(blobs) else schema.pack(message)))
        part = f"acme/{group_id}/0"
        for start in range(0, len(elements), 500):
            await self.queue.stage(part, "r", elements[start : start + 500], start)
        commit = commit_of(
            part,
            len(elements),
            request_id="r",
            shared_blob=schema.pack(shared),
            method=method,
            priority=shared.priority,
            send_ms=shared.send_at_ms,
            expires_ms=shared.expires_at_ms,
            ref=prefix,
            month="202611",
        )
        assert (await self.queue.commit_part(commit)).kind == "committed"
        return shared

    async def ledger(self, group_id: str = "g") -> dict[str, int]:
        """Waiting, sending, uncertain, ended; checks their sum."""
        state = await self.queue.group_state(f"acme/{group_id}")
        assert state is not None
        ledger = {name: int(state[name]) for name in LEDGER}
        assert sum(ledger.values()) == int(state["total"])
        return ledger

    async def until(self, group_id: str = "g", seconds: float = 30.0, **wanted: int) -> None:
        """Waits for these numbers of the ledger; by default until all is ended."""
        async with asyncio.timeout(seconds):
            while True:
                ledger = await self.ledger(group_id)
                goal = wanted or {"ended": sum(ledger.values())}
                if all(ledger[name] == number for name, number in goal.items()):
                    return
                await asyncio.sleep(0.01)

    async def until_control(self, word: str, group_id: str = "g") -> None:
        """Waits until the group's control word is this."""
        async with asyncio.timeout(10):
            while (await self.queue.group_state(f"acme/{group_id}") or {})["control"] != word.encode():
                await asyncio.sleep(0.01)

    async def outcomes(self) -> list[Outcome]:
        """All entries of `outcomes`, decoded."""
        return [unpack_outcome(fields) for _, fields in await self.queue.redis.xrange(self.queue.keys.outcomes)]

    async def events(self, index: int, group_id: str = "g") -> list[schema.Event]:
        """Events of one message, in the order of recording."""
        own = message_id("acme", group_id, 0, index)
        return [event for outcome in await self.outcomes() for event in outcome.events if event.reference.endswith(own)]

    async def types(self, index: int, group_id: str = "g") -> list[str]:
        """Event types of one message."""
        return [event.type for event in await self.events(index, group_id)]

    async def until_types(self, index: int, *wanted: str, group_id: str = "g") -> None:
        """Waits until one message has exactly these events."""
        async with asyncio.timeout(15):
            while (found := await self.types(index, group_id)) != list(wanted):
                assert len(found) <= len(wanted), found
                await asyncio.sleep(0.02)

    async def record(self, index: int, group_id: str = "g") -> list[schema.MessageRecord]:
        """Records of one message."""
        own = message_id("acme", group_id, 0, index)
        return [each for outcome in await self.outcomes() for each in outcome.messages if each.reference.endswith(own)]

    def calls(self) -> Counter[str]:
        """Provider calls by message id."""
        path = self.outbox / "calls.jsonl"
        if not path.exists():
            return Counter()
        return Counter(json.loads(line)["id"] for line in path.read_text().splitlines())


@asynccontextmanager
async def serve(renderer: FakeRenderer) -> AsyncIterator[int]:
    """The fake renderer as a server; its port."""

    def register(server: grpc.aio.Server) -> None:
        renderer_pb2_grpc.add_RendererServiceServicer_to_server(renderer, server)

    server = RpcServer("127.0.0.1:0", register, grace_seconds=0)
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


@asynccontextmanager
async def stub(unit: Unit) -> AsyncIterator[dispatcher_pb2_grpc.DispatcherServiceAsyncStub]:
    """A client of a running dispatcher."""
    async with open_channel(f"127.0.0.1:{_server(unit).port}") as channel:
        yield dispatcher_pb2_grpc.DispatcherServiceStub(channel)


def _server(unit: Unit) -> RpcServer:
    (server,) = [part for part in unit.parts if isinstance(part, RpcServer)]
    return server


async def _until_serving(unit: Unit) -> None:
    async with asyncio.timeout(10):
        while not _server(unit).port:
            await asyncio.sleep(0.01)
