"""Bird over a bare server: the idempotency key settles doubt, and no answer of yesterday holds a message back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import fakes.bird
from morpheus_kit.reasons import ReasonCode
from services.dispatcher.providers.base import Outgoing, Provider
from services.dispatcher.providers.bird import BirdProvider
from services.dispatcher.verdicts import Answer
from tests.integration.providers.suite import HttpProviderSuite

ACCEPTED: dict[str, Any] = {"id": "sms_1", "status": "accepted", "segments": {"count": 1}, "cost": None}
NOT_OURS = {"error": {"type": "validation_error", "name": "SMSSenderNotConfigured", "message": "no"}}
IN_PROGRESS = {"error": {"type": "conflict_error", "name": "RequestInProgress", "message": "wait"}}
TOO_FAST = {"error": {"type": "rate_limit_error", "message": "slow down"}}


def outgoing(number: int, attempt: int = 1) -> Outgoing:
    address = f"+44740012345{number}"
    return Outgoing(f"id{number}", attempt, f"ref{number}", 0, address, "ACME", f"Hé €{number}".encode())


class TestBird(HttpProviderSuite):
    """The shared behaviour."""

    accepted = (202, json.dumps(ACCEPTED).encode())
    external_id = "sms_1"
    calls_in_doubt = 3

    def make(self, url: str, timeout: float) -> Provider:
        return BirdProvider("bk_us1_x", url=url, connections=10, timeout=timeout, repeat_after=(0.0, 0.01))

    def outgoing(self, number: int) -> Outgoing:
        return outgoing(number)


@dataclass
class Server:
    """Answers in turn; `None` breaks the connection after the request was read."""

    answers: list[tuple[int, dict[str, Any], bool] | None]
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.json())
        answer = self.answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, body, replayed = answer
        return web.json_response(body, status=status, headers={"Idempotency-Replay": "true"} if replayed else {})

    @property
    def keys(self) -> list[str]:
        return [each["Idempotency-Key"] for each in self.headers]


@asynccontextmanager
async def bird(server: Server) -> AsyncIterator[BirdProvider]:
    app = web.Application()
    app.router.add_post("/v1/sms/messages", server.handle)
    async with TestServer(app) as test_server:
        provider = BirdProvider(
            "bk_us1_x", url=str(test_server.make_url("")), connections=1, timeout=5, repeat_after=(0.0, 0.01)
        )
        await provider.start()
        yield provider
        await provider.stop()


async def test_a_call_has_key_agent_and_reference() -> None:
    server = Server([(202, ACCEPTED, False)])
    async with bird(server) as provider:
        (verdict,) = await provider.send([outgoing(7)])
    assert (verdict.answer, verdict.external_id, verdict.detail) == (Answer.ACCEPTED, "sms_1", {"segments": 1})
    (headers,) = server.headers
    assert headers["Authorization"] == "Bearer bk_us1_x"
    assert headers["User-Agent"] == "Morpheus"
    assert headers["Idempotency-Key"] == "id7"
    assert server.bodies == [
        {
            "to": "+447400123457",
            "from": "ACME",
            "text": "Hé €7",
            "category": "transactional",
            "metadata": {"reference": "ref7"},
        }
    ]


@pytest.mark.parametrize(
    ("answers", "answer"),
    [
        ([None, (202, ACCEPTED, True)], Answer.ACCEPTED),
        ([None, (202, ACCEPTED, False)], Answer.ACCEPTED),
        ([None, (409, IN_PROGRESS, False), (202, ACCEPTED, True)], Answer.ACCEPTED),
        ([None, (409, IN_PROGRESS, False), (409, IN_PROGRESS, False)], Answer.UNCLEAR),
        ([None, (422, {}, True)], Answer.REFUSED),
        ([(504, {}, False), (429, TOO_FAST, False), (202, ACCEPTED, True)], Answer.ACCEPTED),
        ([None, (500, {}, False), (401, {}, False)], Answer.UNCLEAR),
        ([None, None, None], Answer.UNCLEAR),
    ],
)
async def test_doubt_is_settled_by_the_same_key_at_once(
    answers: list[tuple[int, dict[str, Any], bool] | None], answer: Answer
) -> None:
    count = len(answers)
    server = Server(answers)
    async with bird(server) as provider:
        (verdict,) = await provider.send([outgoing(0)])
    assert verdict.answer is answer
    assert server.keys == ["id0"] * count
    assert all(body == server.bodies[0] for body in server.bodies)


@pytest.mark.parametrize("error", [(422, NOT_OURS), (429, TOO_FAST), (401, {})])
async def test_a_refusal_of_before_that_may_have_passed_is_asked_anew(error: tuple[int, dict[str, Any]]) -> None:
    server = Server([(*error, True), (202, ACCEPTED, False)])
    async with bird(server) as provider:
        (verdict,) = await provider.send([outgoing(0, attempt=3)])
    assert verdict.answer is Answer.ACCEPTED
    assert server.keys == ["id0", "id0/3"]


async def test_a_refusal_of_this_moment_is_not_asked_again() -> None:
    server = Server([(422, NOT_OURS, False)])
    async with bird(server) as provider:
        (verdict,) = await provider.send([outgoing(0, attempt=3)])
    assert verdict.answer is Answer.CONFIGURATION
    assert server.keys == ["id0"]


async def test_a_refusal_of_the_message_itself_stays() -> None:
    server = Server([(422, {}, True)])
    async with bird(server) as provider:
        (verdict,) = await provider.send([outgoing(0, attempt=2)])
    assert verdict.answer is Answer.REFUSED
    assert server.keys == ["id0"]


async def test_a_rejection_as_the_fake_words_it_is_known_by_its_code() -> None:
    async with fakes.bird.serve() as fake:
        fake.faults.order("*", "rejected.recipient_opted_out")
        provider = BirdProvider("bk_us1_x", url=fake.url, connections=1, timeout=5)
        await provider.start()
        try:
            (verdict,) = await provider.send([outgoing(1)])
        finally:
            await provider.stop()
    assert (verdict.answer, verdict.reason) == (Answer.REFUSED, ReasonCode.UNSUBSCRIBED)
