"""Mandrill over a bare server."""

from __future__ import annotations

import json

import pytest

from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.providers.mandrill import MandrillProvider
from services.dispatcher.verdicts import Answer, Verdict
from tests.integration.providers.server import Script, serve
from tests.integration.providers.suite import HttpProviderSuite


def outgoing(number: int) -> Outgoing:
    payload = json.dumps({"subject": f"Hello {number}"}).encode()
    return Outgoing(f"id{number}", 1, f"ref{number}", 0, f"p{number}@example.org", "hello@acme.example", payload)


class TestMandrill(HttpProviderSuite):
    """The shared behaviour."""

    accepted = (200, b'[{"email":"p0@example.org","status":"sent","_id":"abc"}]')
    external_id = "abc"

    def make(self, url: str, timeout: float) -> Provider:
        return MandrillProvider(url, "key", connections=10, timeout=timeout)

    def outgoing(self, number: int) -> Outgoing:
        return outgoing(number)


async def test_a_call_has_key_and_message() -> None:
    script = Script(*TestMandrill.accepted)
    async with serve(script) as url:
        await TestMandrill().send(url, 7)
    ((path, body),) = script.requests
    assert path == "/api/1.0/messages/send.json"
    assert json.loads(body) == {"key": "key", "async": False, "message": {"subject": "Hello 7"}}


@pytest.mark.parametrize(
    ("state", "metadata", "answer"),
    [
        ("sent", {"reference": "ref0"}, Answer.ACCEPTED),
        ("rejected", {"reference": "ref0"}, Answer.REFUSED),
        ("bounced", {"reference": "ref0"}, Answer.ACCEPTED),
        ("sent", {"reference": "ref1"}, None),
        ("sent", {}, None),
    ],
)
async def test_looking_up_finds_a_message_by_its_reference(
    state: str, metadata: dict[str, str], answer: Answer | None
) -> None:
    hits = [{"_id": "x", "state": "sent"}, {"_id": "abc", "state": state, "metadata": metadata}]
    script = Script(200, json.dumps(hits).encode())
    async with serve(script) as url:
        found = await _look_up(url)
    assert (found and found.answer) == answer
    ((path, body),) = script.requests
    assert path == "/api/1.0/messages/search.json"
    assert json.loads(body) == {"key": "key", "query": 'full_email:"p0@example.org"', "limit": 100}


async def test_a_search_that_fails_says_nothing() -> None:
    async with serve(Script(429, b"{}")) as url:
        assert await _look_up(url) is None
    async with serve(Script(200, b"<html>")) as url:
        assert await _look_up(url) is None


async def _look_up(url: str) -> Verdict | None:
    provider = MandrillProvider(url, "key", connections=1, timeout=5.0)
    await provider.start()
    try:
        return await provider.look_up(outgoing(0))
    finally:
        await provider.stop()
