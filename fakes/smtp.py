"""A relay that takes mail over SMTP; its API has a port of its own."""

from __future__ import annotations

import asyncio
import email
import email.policy
import secrets
import socket
import ssl
import struct
import warnings
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self, cast

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from fakes.control import control_routes
from fakes.faults import Fault, FaultBook, Plan
from fakes.records import Call, Message, Records

MAX_MAIL = 64 * 1024 * 1024
DEFAULTS = {
    "rejected": "550 5.1.1 User unknown",
    "invalid": "553 5.1.3 Bad address syntax",
    "429": "421 4.7.0 Try later",
}


class Smtp:
    """The fake. `user` and `password`: it wants a login; `tls`: it offers STARTTLS."""

    name: ClassVar[str] = "smtp"

    def __init__(
        self,
        *,
        user: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        keep: int = 100_000,
        name_of_host: str = "127.0.0.1",
    ) -> None:
        self.name_of_host = name_of_host
        self._open: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self.records = Records(keep)
        self.faults = FaultBook()
        self.webhook_url = ""
        self.port = 0
        self.control_port = 0
        self.connections = 0
        self._user = user
        self._password = password
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        login = f"{self._user}:{self._password}@" if self._user else ""
        return f"smtp://{login}{self.name_of_host}:{self.port}" + ("?starttls=1" if self._tls else "")

    @property
    def control_url(self) -> str:
        """Where its API listens."""
        return f"http://{self.name_of_host}:{self.control_port}"

    @property
    def messages(self) -> list[Message]:
        """What it has taken: one for each recipient."""
        return list(self.records.messages)

    @property
    def calls(self) -> list[Call]:
        """Every transaction that reached the body, and every recipient that was refused."""
        return list(self.records.calls)

    async def start(self, port: int = 0, control_port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen; 0 is any free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, host, port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        app = web.Application()
        app.add_routes(control_routes(self))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, control_port, reuse_address=True).start()
        self.control_port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Nothing listens any more."""
        if self._server is not None:
            self._server.close()
        for server in self._open:
            cut(server)
        if self._runner is not None:
            await self._runner.cleanup()

    async def settled(self, timeout: float = 10.0) -> None:
        """SMTP has no webhooks: at once."""

    def reset(self) -> None:
        """As just started."""
        self.records.clear()
        self.faults.clear()

    def inject(self, what: dict[str, Any]) -> None:
        """A relay tells nothing after it has taken a mail."""
        raise ValueError("SMTP has no receipts")

    def _connect(self) -> SMTP:
        self.connections += 1
        options: dict[str, Any] = {"tls_context": self._tls, "timeout": 300, "enable_SMTPUTF8": True}
        if self._user:
            options |= {"authenticator": self._login, "auth_required": True, "auth_require_tls": self._tls is not None}
        with warnings.catch_warnings():
            # A login without TLS: here nobody listens in, and the passwords are made up.
            warnings.simplefilter("ignore", UserWarning)
            server = SMTP(self, data_size_limit=MAX_MAIL, loop=asyncio.get_running_loop(), **options)
        self._open.add(server)
        return server

    def _login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        wanted = (self._user.encode(), self._password.encode())
        good = isinstance(data, LoginPassword) and (data.login, data.password) == wanted
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(  # noqa: N802 -- the hook's name is given
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Faults that refuse one recipient come here; the others wait for the body."""
        plan = self.faults.plan([address])
        plans: dict[str, Plan] = session.__dict__.setdefault("plans", {})
        plans[address] = plan
        refused = plan.recipients.get(address)
        if refused is not None and refused.name in DEFAULTS:
            self._call(session, [address], refusal(refused), refused)
            return refusal(refused)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- the hook's name is given
        """The body has come; what is answered now is the final word."""
        addresses = list(envelope.rcpt_tos)
        plans = [session.__dict__["plans"][address] for address in addresses]
        await asyncio.sleep(sum(plan.latency_s for plan in plans))
        fault = next((plan.answer for plan in plans if plan.answer), None)
        if fault is None or fault.taken:
            self._take(envelope, addresses)
        if fault is None:
            return self._call(session, addresses, "250 2.0.0 OK queued as " + secrets.token_hex(6))
        if fault.name == "hang":
            self._call(session, addresses, "", fault)
            await asyncio.sleep(3600)  # never answers: longer than any client waits
        if fault.name == "reset":
            cut(server)
            return self._call(session, addresses, "", fault) or "421 4.3.2 gone"
        return self._call(session, addresses, refusal(fault), fault)

    def _take(self, envelope: Envelope, addresses: list[str]) -> None:
        content = envelope.original_content or b""
        parsed = email.message_from_bytes(content, policy=email.policy.compat32)
        metadata = {name.lower(): str(value) for name, value in parsed.items() if name.lower().startswith("x-")}
        raw = {"raw": content.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()}
        for address in addresses:
            self.records.add_message(
                Message(
                    secrets.token_hex(8),
                    address,
                    envelope.mail_from or "",
                    str(parsed.get("Subject", "")),
                    self.records.clock(),
                    raw,
                    dict(metadata),
                )
            )

    def _call(self, session: Session, addresses: list[str], reply: str, fault: Fault | None = None) -> str:
        status = int(reply[:3]) if reply else None
        name = str(fault) if fault else ""
        call = Call(self.records.clock(), "SMTP", str(session.host_name or ""), addresses, status, name)
        self.records.add_call(call)
        return reply

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


def refusal(fault: Fault) -> str:
    """The reply of a fault: `550`, `451.4-7-1`, `error.552`, `rejected.550`."""
    if fault.name in DEFAULTS:
        return f"{fault.value} Refused" if fault.value.isdigit() else DEFAULTS[fault.name]
    code = fault.value[:3] if fault.name == "error" and fault.value[:3].isdigit() else fault.name
    if not code.isdigit():
        return "554 5.0.0 Transaction failed"
    return f"{code} {code[0]}.0.0 As ordered"


def cut(server: SMTP) -> None:
    """The connection is reset, without a word."""
    transport = cast("asyncio.Transport | None", server.transport)
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


serve = Smtp.serve
