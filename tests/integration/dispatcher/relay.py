"""A relay that can be made to fail at any step: a real SMTP server, by aiosmtpd."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Relay:
    """Handler of the server, and what it received."""

    def __init__(self) -> None:
        self.received: list[tuple[str, list[str], bytes]] = []
        self.connections = 0
        self.tls: list[bool] = []
        self.replies: dict[str, str] = {}
        """Reply to `MAIL`, `RCPT`, `DATA` (before the body) or `DOT` (after it)."""
        self.breaks: set[str] = set()
        """Steps at which the connection is cut; at `DOT` the message has been taken."""
        self.breaks_once: set[str] = set()
        self.stalls: set[str] = set()
        """Steps at which no reply comes."""

    async def handle_EHLO(
        self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.tls.append(session.ssl is not None)
        return await self._step("MAIL", server, lambda: setattr(envelope, "mail_from", address))

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        return await self._step("RCPT", server, lambda: envelope.rcpt_tos.append(address))

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        if "DOT" not in self.replies:
            self.received.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        return await self._step("DOT", server, lambda: None, "250 2.0.0 Ok: queued as ABC123")

    async def _step(self, step: str, server: SMTP, accept: Callable[[], None], reply: str = "250 OK") -> str:
        if step in self.breaks or step in self.breaks_once:
            self.breaks_once.discard(step)
            cut(server)
            return "421 gone"
        if step in self.stalls:
            await asyncio.sleep(30)
        if step in self.replies:
            return self.replies[step]
        accept()
        return reply


class Server(SMTP):
    """Refuses DATA where the relay says so; aiosmtpd has no hook for it."""

    relay: Relay

    async def smtp_DATA(self, arg: str) -> None:
        relay = self.relay
        if "DATA" in relay.breaks:
            cut(self)
        elif "DATA" in relay.replies:
            await self.push(relay.replies["DATA"])
        else:
            await super().smtp_DATA(arg)


def cut(server: SMTP) -> None:
    """The connection is gone, without a word."""
    cast("asyncio.Transport", server.transport).abort()


def authenticate(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """One user: `user`, `p@ss/word`."""
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"p@ss/word")
    return AuthResult(success=good, handled=False)


@asynccontextmanager
async def serve_relay(
    relay: Relay, *, tls: ssl.SSLContext | None = None, implicit: bool = False, auth: bool = False
) -> AsyncIterator[int]:
    """The relay on a free port. `tls`: offers STARTTLS, or speaks TLS from the first byte with `implicit`."""
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"tls_context": None if implicit else tls, "timeout": 60, "loop": loop}
    if auth:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": tls is not None}

    def connect() -> Server:
        relay.connections += 1
        server = Server(relay, **options)
        server.relay = relay
        return server

    server = await loop.create_server(connect, "127.0.0.1", 0, ssl=tls if implicit else None)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
