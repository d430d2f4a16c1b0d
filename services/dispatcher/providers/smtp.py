"""Method `smtp`: a relay, a few open connections, one message at a time on each.

What counts is the final dot. Before it nothing was handed over, so a broken connection is a retry; once the body is
written and no answer comes, the relay may have the message: uncertain.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Sequence

import aiosmtplib
from aiosmtplib import SMTP, SMTPResponse

from morpheus_kit import logs
from morpheus_kit.clock import Clock
from services.dispatcher.providers.base import Form, Outgoing
from services.dispatcher.providers.smtp_url import SmtpUrl
from services.dispatcher.verdicts import Answer, Verdict

log = logs.get_logger(__name__)
# A relay closes idle connections; one that was idle for longer is not trusted with a message.
_IDLE_SECONDS = 20.0
_QUIT_SECONDS = 2.0
_DOT_AT_LINE_START = re.compile(rb"(?m)^\.")
_QUEUED_AS = re.compile(r"queued as (\S+)", re.IGNORECASE)
# Replies about our account, not about the message.
_ACCOUNT_CODES = frozenset([530, 534, 535, 538])


class SmtpProvider:
    """The provider of method `smtp`."""

    name = "smtp"
    form: Form = "mime"
    takes_key = False

    def __init__(
        self,
        url: SmtpUrl,
        clock: Clock,
        *,
        return_path: str,
        connections: int,
        timeout: float,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        """`return_path`: envelope sender, empty: the message's; `timeout`: seconds for one whole message."""
        self.concurrency = connections
        self._url = url
        self._clock = clock
        self._return_path = return_path
        self._timeout = timeout
        self._tls_context = tls_context
        self._idle: list[tuple[SMTP, float]] = []

    async def start(self) -> None:
        """Nothing is opened before the first message."""
        if self._tls_context is None:
            self._tls_context = await asyncio.to_thread(ssl.create_default_context)

    async def stop(self) -> None:
        """Says goodbye on all connections."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*[_quit(client) for client, _ in idle])

    async def send(self, batch: Sequence[Outgoing]) -> list[Verdict]:
        """All at the same time, each on a connection of its own."""
        return list(await asyncio.gather(*[self._send(message) for message in batch]))

    async def _send(self, message: Outgoing) -> Verdict:
        client = await self._reuse()
        if client is not None:
            verdict = await self._transact(client, message)
            if verdict is not None:
                return verdict
        try:
            client = await self._connect()
        except (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPNotSupported) as exc:
            return Verdict(Answer.PAUSED, _words(exc))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            return Verdict(Answer.RETRY, _words(exc))
        verdict = await self._transact(client, message)
        return verdict or Verdict(Answer.RETRY, "The connection broke before the message was written.")

    async def _reuse(self) -> SMTP | None:
        """An open connection, the one used last."""
        while self._idle:
            client, since = self._idle.pop()
            if client.is_connected and self._clock.monotonic() - since < _IDLE_SECONDS:
                return client
            client.close()
        return None

    async def _connect(self) -> SMTP:
        url = self._url
        client = SMTP(
            hostname=url.host,
            port=url.port,
            username=url.username or None,
            password=url.password or None,
            use_tls=url.tls,
            start_tls=url.start_tls,
            timeout=self._timeout,
            tls_context=self._tls_context,
            # Without it the library asks the resolver, which may block.
            local_hostname=_own_name(),
        )
        async with asyncio.timeout(self._timeout):
            await client.connect()
        return client

    async def _transact(self, client: SMTP, message: Outgoing) -> Verdict | None:
        """One message. None: the connection broke while it was certain that nothing had been handed over."""
        written = False
        try:
            async with asyncio.timeout(self._timeout):
                await client.mail(self._return_path or message.sender)
                await client.rcpt(message.address)
                response = await client.execute_command(b"DATA")
                if response.code == 354 and client.protocol is not None:
                    written = True
                    client.protocol.write(_DOT_AT_LINE_START.sub(b"..", message.payload) + b".\r\n")
                    response = await client.protocol.read_response(timeout=self._timeout)
        except aiosmtplib.SMTPResponseException as exc:
            response = SMTPResponse(exc.code, exc.message)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, asyncio.CancelledError) as exc:
            client.close()
            if isinstance(exc, asyncio.CancelledError):
                raise
            return Verdict(Answer.UNCLEAR, _words(exc)) if written else None
        verdict = verdict_of(response, written=written)
        await self._keep(client, reset=verdict.answer is not Answer.ACCEPTED)
        return verdict

    async def _keep(self, client: SMTP, *, reset: bool) -> None:
        """Back to the others when it is still good."""
        if reset and client.is_connected:
            try:
                async with asyncio.timeout(_QUIT_SECONDS):
                    await client.rset()
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                client.close()
        if client.is_connected:
            self._idle.append((client, self._clock.monotonic()))


def verdict_of(response: SMTPResponse, *, written: bool) -> Verdict:
    """What a reply means; `written`: it answers the final dot."""
    code = response.code
    words = _clean(f"{code} {response.message}")
    if written and 200 <= code < 300:
        queued = _QUEUED_AS.search(response.message)
        return Verdict(Answer.ACCEPTED, words, external_id=_clean(queued[1]).rstrip(".") if queued else "")
    if code in _ACCOUNT_CODES:
        return Verdict(Answer.PAUSED, words)
    if 400 <= code < 500:
        return Verdict(Answer.RETRY, words)
    if 500 <= code < 600:
        return Verdict(Answer.REFUSED, words)
    return Verdict(Answer.UNCLEAR if written else Answer.RETRY, words)


async def _quit(client: SMTP) -> None:
    with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(_QUIT_SECONDS):
            await client.quit()
    client.close()


def _own_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and re.fullmatch(r"[A-Za-z0-9.-]+", name) else "localhost"


def _words(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return "The relay did not answer in time."
    return _clean(str(exc)) or type(exc).__name__


def _clean(text: str) -> str:
    """Without the lone surrogates by which the library keeps bytes that are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
