"""SMTP in the shared suite; what is its own is in `tests/integration/dispatcher/test_smtp.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from morpheus_kit.clock import SystemClock
from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.providers.smtp import SmtpProvider
from services.dispatcher.providers.smtp_url import parse_smtp_url
from services.dispatcher.verdicts import Answer
from tests.integration.dispatcher.relay import Relay, serve_relay
from tests.integration.providers.suite import ProviderSuite, Served

PAYLOAD = b"Subject: x\r\n\r\nbody\r\n"


class TestSmtp(ProviderSuite):
    """The shared behaviour. A call is a transaction: each begins with MAIL."""

    external_id = "ABC123"
    address = "smtp://127.0.0.1:{port}"
    throttled = Answer.RETRY  # a relay cannot say how long

    def make(self, url: str, timeout: float) -> Provider:
        return SmtpProvider(parse_smtp_url(url), SystemClock(), return_path="", connections=10, timeout=timeout)

    def outgoing(self, number: int) -> Outgoing:
        return Outgoing(f"id{number}", 1, f"ref{number}", 0, f"p{number}@example.org", "hello@acme.example", PAYLOAD)

    @asynccontextmanager
    async def serve(self, behaviour: str = "") -> AsyncIterator[Served]:
        relay = Relay()
        replies = {"refused": {"DOT": "550 5.7.1 not this one"}, "throttled": {"RCPT": "451 4.7.1 slow down"}}
        relay.replies = replies.get(behaviour, {})
        # After the final dot.
        relay.stalls = {"DOT"} if behaviour == "hang" else set()
        relay.breaks = {"DOT"} if behaviour == "reset" else set()
        async with serve_relay(relay) as port:
            yield Served(self.address.format(port=port), lambda: len(relay.tls))
