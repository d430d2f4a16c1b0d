"""Gateway and tracker on real ports over a real Valkey, and messages of which nobody knows what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from morpheus.tracker.v1 import tracker_pb2 as pb
from morpheus.tracker.v1.tracker_pb2_grpc import TrackerServiceStub

from benchmarks.stack import free_port
from gateway.app import build as build_gateway
from gateway.config import Config as GatewayConfig
from local.keys import ensure_keys
from morpheus_kit import ids
from morpheus_kit.lifecycle import Unit
from morpheus_kit.queue.elements import pack_element
from morpheus_kit.queue.outcomes import array_header, pack_records
from morpheus_kit.queue.schema import Event, GroupRecord, MessageRecord, QueuedMessage, SharedInfo, pack
from morpheus_kit.queue.scripts import CommitItem, GateItem, Queue
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from services.tracker.app import build as build_tracker
from services.tracker.config import Config as TrackerConfig
from tests.integration.commits import commit_of

ACCEPTED_MS = 1_790_000_000_000
MONTH = "202609"
TOKEN_SECRET = "0123456789abcdef"


@dataclass
class Group:
    """One group of a company, put into the queue as intake and dispatcher do it."""

    queue: Queue
    company: str = "acme"
    group_id: str = "june"
    method: str = "mandrill"
    sender: str = "shop@example.com"
    addresses: list[str] = field(default_factory=lambda: ["ada@example.com"])
    accepted_ms: int = ACCEPTED_MS

    @property
    def prefix(self) -> str:
        return ids.reference_prefix(MONTH, 0, self.company, self.group_id)

    def id(self, index: int = 0) -> str:
        return ids.message_id(self.company, self.group_id, 0, index)

    def reference(self, index: int = 0) -> str:
        return f"{self.prefix}-{self.id(index)}"

    def blob(self, index: int) -> bytes:
        return pack(QueuedMessage(1, self.id(index), index, 0, self.accepted_ms, self.addresses[index]))

    def shared(self) -> SharedInfo:
        return SharedInfo(
            *(1, self.company, self.group_id, self.method, self.method, "order.html", "letter.html", "Hello"),
            from_address=self.sender,
            reference_prefix=self.prefix,
        )

    async def post(self) -> None:
        """Accepted and recorded; its messages wait."""
        shared, total = pack(self.shared()), len(self.addresses)
        part = f"{self.company}/{self.group_id}/0"
        elements = [pack_element(self.id(index), self.blob(index)) for index in range(total)]
        await self.queue.stage(part, "r", elements, 0)
        record = GroupRecord(self.shared(), 0, total, self.accepted_ms, "default")
        await self.queue.commit_part(
            commit_of(
                part,
                total,
                request_id="r",
                shared_blob=shared,
                method=self.method,
                ref=self.prefix,
                month=MONTH,
                records=pack_records((), [record]),
            )
        )

    async def send_into_doubt(self) -> None:
        """All of them handed to a provider whose answer was lost."""
        queue, method = self.queue, self.method
        for job in await queue.read_jobs("me", 10, 0):
            await queue.start_part(job.part, job.entry_id, b"pins")
        taken = (await queue.take("me", f"me-{self.group_id}", [method], 100, 100)).items
        gates = [GateItem(each.entry_id, each.element.message_id, each.element.attempt, each.part) for each in taken]
        await queue.gate(method, "normal", "me", gates)
        due = ACCEPTED_MS * 2
        commits = [
            CommitItem(
                *(each.entry_id, each.element.message_id, each.element.attempt, "uncertain"),
                pack(Event(f"{self.prefix}-{each.element.message_id}", "uncertain", 1, self.accepted_ms)),
                *(due, "resend", pack_element(each.element.message_id, each.element.blob, attempt=1), b""),
            )
            for each in taken
        ]
        await queue.commit_sends(method, "normal", "me", commits, pack_records(self.records()))

    async def record(self) -> None:
        """Their records, as they come with what a batch sent."""
        events = [pack(Event(self.reference(i), "sent", 1, self.accepted_ms + 1)) for i in range(len(self.addresses))]
        fields = {b"records": pack_records(self.records()), b"events": array_header(len(events)) + b"".join(events)}
        await self.queue.redis.xadd(self.queue.keys.outcomes, fields)

    def records(self) -> list[MessageRecord]:
        return [
            MessageRecord(self.reference(i), self.company, self.group_id, self.blob(i), rendered=True, text="Hello")
            for i in range(len(self.addresses))
        ]


@dataclass
class Rig:
    """What a test asks."""

    url: str
    http: httpx.AsyncClient
    tracker: Any
    """A stub; its published types are those of the blocking one."""

    async def post(self, provider: str, body: bytes, headers: Mapping[str, str], query: str = "") -> httpx.Response:
        """A webhook."""
        return await self.http.post(f"/webhooks/{provider}{query}", content=body, headers=dict(headers))

    async def message(self, group: Group, index: int = 0) -> pb.Message:
        asked = pb.GetMessageRequest(company_code=group.company, id=group.id(index))
        found: pb.Message = (await self.tracker.GetMessage(asked)).message
        return found

    async def until(self, group: Group, holds: Callable[[pb.Message], bool], index: int = 0) -> pb.Message:
        """Asks until the message is as it must become."""
        async with asyncio.timeout(10):
            while True:
                try:
                    if holds(found := await self.message(group, index)):
                        return found
                except Exception as exc:  # not there yet
                    if "no such message" not in str(exc):
                        raise
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(redis_url: str, folder: Path, **settings: Any) -> AsyncIterator[Rig]:
    """Both services; `settings` are the tracker's."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    tracker = await build_tracker(
        TrackerConfig(
            tracker_addr="127.0.0.1:0",
            redis_url=redis_url,
            records_url=f"sqlite:///{folder / 'records.db'}",
            token_secret=TOKEN_SECRET,
            address_secret=TOKEN_SECRET,
            public_url=url,
            **settings,
        )
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_serving(tracker))
        server = next(part for part in tracker.parts if isinstance(part, RpcServer))
        while not server.port:
            await asyncio.sleep(0.01)
        address = f"127.0.0.1:{server.port}"
        ensure_keys(folder, folder / "keys.toml", url)
        gateway = build_gateway(GatewayConfig(port=port, tracker_addr=address, home=folder))
        await stack.enter_async_context(_serving(gateway))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        channel = await stack.enter_async_context(open_channel(address))
        async with asyncio.timeout(10):
            while not await _answers(http):
                await asyncio.sleep(0.02)
        yield Rig(url, http, TrackerServiceStub(channel))


@asynccontextmanager
async def _serving(unit: Unit) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(unit.serve(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False
