"""The stack of the contract tests, and a client that signs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import msgpack
from morpheus.dispatcher.v1 import dispatcher_pb2_grpc
from morpheus.intake.v1 import intake_pb2_grpc
from morpheus.tracker.v1 import tracker_pb2_grpc
from redis.asyncio import Redis

from gateway.app import make_app
from gateway.config import Config as GatewayConfig
from gateway.services import Services
from morpheus_kit import signing
from morpheus_kit.clock import ManualClock
from morpheus_kit.keyring import Keyring, RateLimiter
from morpheus_kit.prices import read_prices
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.rpc.server import RpcServer
from services.intake.config import Config as IntakeConfig
from services.intake.preview import Previews
from services.intake.rendering import Renderer
from services.intake.service import IntakeServicer
from services.intake.submission import Intake
from tests.contract.fakes import FakeDispatcher, FakeTracker

START_MS = 1_780_000_000_000
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECOND_SECRET = "whsec_" + base64.b64encode(bytes(range(64))).decode()
MAX_BODY = 1024 * 1024


def key_table(key_id: str, **fields: Any) -> str:
    """One `[[keys]]` table whose token is the key's id."""
    values = {
        "secrets": [SECRET],
        "token_sha256": [hashlib.sha256(key_id.encode()).hexdigest()],
        "scopes": ["send", "read", "operate"],
        "company_codes": ["acme", "harbour"],
        **fields,
    }
    lines = [f"{name} = {str(value).replace(chr(39), chr(34))}" for name, value in values.items()]
    return "\n".join(["[[keys]]", f'id = "{key_id}"', *lines, ""])


KEYS = "\n".join(
    [
        key_table("default"),
        key_table("rotating", secrets=[SECOND_SECRET, SECRET]),
        key_table("books", from_domains=["books.example.com"]),
        key_table("reader", scopes=["read"]),
        key_table("sender", scopes=["send"]),
        key_table("slow", rate=2),
        key_table("admin", scopes=["send", "read", "operate", "admin"], company_codes=["*"]),
    ]
)


def group(**changes: Any) -> dict[str, Any]:
    """A group that is accepted; a change to `...` leaves the key out."""
    values = {
        "group_id": "welcome-1",
        "company_code": "acme",
        "method": "test",
        "outer_template": "letter.html",
        "inner_template": "order.html",
        "subject_template": "Hi {{ first_name }}",
        "from_address": "Acme <hi@acme.example.com>",
        "recipients": [{"address": "ada@example.com", "first_name": "Ada"}, {"address": "zoe@example.com"}],
        **changes,
    }
    return {name: value for name, value in values.items() if value is not ...}


def pack(value: Any) -> bytes:
    """As a client packs it."""
    packed: bytes = msgpack.packb(value, datetime=True)
    return packed


@dataclass
class Stack:
    """What a test asks and looks into."""

    http: httpx.AsyncClient
    redis: Redis
    clock: ManualClock
    intake_address: str
    tracker: FakeTracker
    dispatcher: FakeDispatcher
    home: Path
    key_file: Path = field(init=False)

    def __post_init__(self) -> None:
        self.key_file = self.home / "keys.toml"

    def sign(self, body: bytes, **changes: Any) -> dict[str, str]:
        """The headers of a post; see `signing.signed_headers` for changes, `secret` too."""
        secret = changes.pop("secret", SECRET)
        return signing.signed_headers(secret, body, now_s=self.clock.now_ms() / 1000, **changes)

    async def send(
        self, body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/groups", **changes: Any
    ) -> httpx.Response:
        """A signed post of `body`; `headers` are added last."""
        signed = {"content-type": "application/msgpack", **self.sign(body, **changes), **(headers or {})}
        return await self.http.post(path, content=body, headers=signed)

    async def preview(self, document: Any = None, /, **changes: Any) -> httpx.Response:
        """A signed post of a group that is only looked at."""
        body = pack(group(**changes) if document is None else document)
        return await self.send(body, path="/v1/preview", target=signing.HTTP_PREVIEW)

    async def post(self, document: Any = None, /, **changes: Any) -> httpx.Response:
        """A signed post of a group."""
        return await self.send(pack(group(**changes) if document is None else document))

    async def get(self, path: str, token: str = "default", **parameters: Any) -> httpx.Response:
        """A read with a bearer token."""
        return await self.http.get(path, params=parameters, headers={"authorization": f"Bearer {token}"})

    async def operate(self, path: str, token: str = "default", **parameters: Any) -> httpx.Response:
        """An operation with a bearer token."""
        return await self.http.post(path, params=parameters, headers={"authorization": f"Bearer {token}"})

    async def queued(self) -> list[bytes]:
        """Names of all keys that an accepted post leaves; uploads that go away by themselves are not among them."""
        names = [name async for name in self.redis.scan_iter()]
        return sorted(name for name in names if b":staging:" not in name and name != b"morpheus:layout")


@asynccontextmanager
async def running(
    redis: Redis, redis_url: str, home: Path, renderer_address: str = "127.0.0.1:1"
) -> AsyncIterator[Stack]:
    """Starts everything but the renderer, and stops it."""
    key_file = home / "keys.toml"
    key_file.write_text(KEYS)
    (home / "outbox").mkdir()
    clock, keyring = ManualClock(START_MS), Keyring(key_file)
    environ = {"METHODS": "test,mandrill,ses,smtp,email,sms", "REDIS_URL": redis_url, "S3_BUCKETS": "listed"}
    environ["PUBLIC_URL"] = "https://mail.example.com"
    environ["RETENTION_COMPANIES"] = f"harbour={50 * 86_400}"
    config = IntakeConfig.load({f"MORPHEUS_{name}": value for name, value in environ.items()})
    queue = Queue(redis, 0, replicas=0, aof_always=True)
    limiter, renderer = RateLimiter(clock), Renderer(renderer_address)
    await renderer.start()
    servicer = IntakeServicer(
        Intake(config, keyring, limiter, [queue], clock),
        Previews(config, keyring, limiter, renderer, read_prices(), clock),
    )
    tracker, dispatcher = FakeTracker(), FakeDispatcher()

    def register(server: grpc.aio.Server) -> None:
        intake_pb2_grpc.add_IntakeServiceServicer_to_server(servicer, server)
        tracker_pb2_grpc.add_TrackerServiceServicer_to_server(tracker, server)
        dispatcher_pb2_grpc.add_DispatcherServiceServicer_to_server(dispatcher, server)

    server = RpcServer("127.0.0.1:0", register)
    await server.start()
    address = f"127.0.0.1:{server.port}"
    names = ("INTAKE", "RENDERER", "DISPATCHER", "TRACKER")
    settings = GatewayConfig.load(
        {
            **{f"MORPHEUS_{name}_ADDR": address for name in names},
            "MORPHEUS_MAX_BODY": str(MAX_BODY),
            "MORPHEUS_PUBLIC_URL": "https://mail.example.com",
            "MORPHEUS_OUTBOX": str(home / "outbox"),
        }
    )
    services = Services(settings)
    await services.start()
    app = make_app(settings, services, keyring, clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Stack(http, redis, clock, address, tracker, dispatcher, home)
    finally:
        await services.stop()
        await server.stop()
        await renderer.stop()
