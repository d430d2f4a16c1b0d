"""Twilio over a bare server."""

from __future__ import annotations

from base64 import b64decode
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.providers.twilio import TwilioProvider
from services.dispatcher.verdicts import Answer
from tests.integration.providers.suite import HttpProviderSuite

ACCEPTED = b'{"sid":"SM1","status":"queued","num_segments":"1","price":null,"price_unit":"USD","error_code":null}'


def outgoing(number: int) -> Outgoing:
    return Outgoing(f"id{number}", 1, f"ref{number}", 0, f"+44740012345{number}", "ACME", f"Hé €{number}".encode())


class TestTwilio(HttpProviderSuite):
    """The shared behaviour."""

    accepted = (201, ACCEPTED)
    external_id = "SM1"

    def make(self, url: str, timeout: float) -> Provider:
        return TwilioProvider("AC1", "token", url=url, connections=10, timeout=timeout)

    def outgoing(self, number: int) -> Outgoing:
        return outgoing(number)


@pytest.mark.parametrize(
    ("public_url", "callback"),
    [
        ("https://mail.acme.example/", ["https://mail.acme.example/webhooks/twilio?ref=ref7"]),
        ("http://127.0.0.1:8000", ["http://127.0.0.1:8000/webhooks/twilio?ref=ref7"]),
        ("", None),
    ],
)
async def test_a_call_is_a_form_with_basic_credentials(public_url: str, callback: list[str] | None) -> None:
    seen: list[tuple[str, str, dict[str, list[str]]]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["Authorization"], parse_qs(await request.text())))
        return web.Response(status=201, body=ACCEPTED)

    app = web.Application()
    app.router.add_post("/{tail:.*}", handle)
    async with TestServer(app) as server:
        provider = TwilioProvider(
            "AC1", "token", url=str(server.make_url("")), public_url=public_url, connections=1, timeout=5
        )
        await provider.start()
        (verdict,) = await provider.send([outgoing(7)])
        await provider.stop()
    assert (verdict.answer, verdict.detail) == (Answer.ACCEPTED, {"segments": 1})
    ((path, authorization, form),) = seen
    assert path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert b64decode(authorization.removeprefix("Basic ")) == b"AC1:token"
    assert form.pop("StatusCallback", None) == callback
    assert form == {"To": ["+447400123457"], "From": ["ACME"], "Body": ["Hé €7"]}


def test_the_real_service_is_not_told_of_a_callback_on_this_machine() -> None:
    provider = TwilioProvider("AC1", "token", public_url="http://localhost:8000", connections=1, timeout=5)
    assert not provider._callback
