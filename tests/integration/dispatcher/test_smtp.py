"""The SMTP provider against a relay that fails at every step. What counts is the final dot."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from morpheus_kit.clock import SystemClock
from services.dispatcher.providers.base import Outgoing
from services.dispatcher.providers.smtp import SmtpProvider
from services.dispatcher.providers.smtp_url import parse_smtp_url
from services.dispatcher.verdicts import Answer
from tests.integration.dispatcher.relay import Relay, serve_relay
from tests.integration.dispatcher.rig import Rig

CERTIFICATE = Path(__file__).parent / "localhost.pem"  # localhost and 127.0.0.1, until 2126; its key is public
PAYLOAD = b"Subject: x\r\n\r\n.leading dot\r\nbody\r\n"


def outgoing(number: int = 0, payload: bytes = PAYLOAD) -> Outgoing:
    return Outgoing(f"id{number}", 1, f"ref{number}", 0, f"p{number}@example.org", "hello@acme.example", payload)


@asynccontextmanager
async def provider(port: int, url: str = "smtp://127.0.0.1:{port}", **options: Any) -> AsyncIterator[SmtpProvider]:
    values: dict[str, Any] = {"return_path": "", "connections": 4, "timeout": 5.0}
    made = SmtpProvider(parse_smtp_url(url.format(port=port)), SystemClock(), **(values | options))
    await made.start()
    yield made
    await made.stop()


async def test_messages_arrive_as_composed_over_few_connections() -> None:
    relay = Relay()
    async with serve_relay(relay) as port, provider(port) as smtp:
        first = await smtp.send([outgoing(number) for number in range(4)])
        second = await smtp.send([outgoing(number) for number in range(4, 8)])
    assert {verdict.answer for verdict in first + second} == {Answer.ACCEPTED}
    assert first[0].external_id == "ABC123"
    assert relay.connections == 4
    assert min(relay.received) == ("hello@acme.example", ["p0@example.org"], PAYLOAD)


async def test_the_return_path_is_the_envelope_sender() -> None:
    relay = Relay()
    async with serve_relay(relay) as port, provider(port, return_path="bounces@acme.example") as smtp:
        await smtp.send([outgoing()])
    assert relay.received[0][0] == "bounces@acme.example"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize(("code", "answer"), [(451, Answer.RETRY), (421, Answer.RETRY), (550, Answer.REFUSED)])
async def test_replies_decide_at_every_step(step: str, code: int, answer: Answer) -> None:
    relay = Relay()
    relay.replies = {step: f"{code} 4.7.1 words of the relay"}
    async with serve_relay(relay) as port, provider(port) as smtp:
        (verdict,) = await smtp.send([outgoing()])
        assert (verdict.answer, verdict.text) == (answer, f"{code} 4.7.1 words of the relay")
        relay.replies = {}
        (again,) = await smtp.send([outgoing(1)])
        assert again.answer is Answer.ACCEPTED
    assert [to for _, to, _ in relay.received] == [["p1@example.org"]]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_that_breaks_before_the_body_is_a_retry(step: str) -> None:
    relay = Relay()
    relay.breaks = {step}
    async with serve_relay(relay) as port, provider(port) as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.RETRY


async def test_a_connection_lost_after_the_final_dot_is_unclear_and_not_repeated() -> None:
    relay = Relay()
    relay.breaks = {"DOT"}
    async with serve_relay(relay) as port, provider(port) as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.UNCLEAR
    assert len(relay.received) == 1


@pytest.mark.parametrize(("step", "answer"), [("MAIL", Answer.RETRY), ("DOT", Answer.UNCLEAR)])
async def test_no_answer_in_time(step: str, answer: Answer) -> None:
    relay = Relay()
    relay.stalls = {step}
    async with serve_relay(relay) as port, provider(port, timeout=0.2) as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is answer


async def test_a_kept_connection_that_the_relay_closed_costs_no_try() -> None:
    relay = Relay()
    async with serve_relay(relay) as port, provider(port) as smtp:
        await smtp.send([outgoing()])
        relay.breaks_once = {"MAIL"}
        (verdict,) = await smtp.send([outgoing(1)])
    assert verdict.answer is Answer.ACCEPTED
    assert relay.connections == 2


async def test_a_relay_that_is_not_there_is_a_retry() -> None:
    async with serve_relay(Relay()) as port:
        pass
    async with provider(port) as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.RETRY


def server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:{port}?starttls=1", "smtp://127.0.0.1:{port}"])
async def test_starttls_is_used_when_demanded_and_when_offered(url: str) -> None:
    relay = Relay()
    async with serve_relay(relay, tls=server_tls()) as port, provider(port, url, tls_context=client_tls()) as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.ACCEPTED
    assert relay.tls == [True]


async def test_smtps_speaks_tls_from_the_first_byte() -> None:
    relay = Relay()
    url = "smtps://127.0.0.1:{port}"
    async with (
        serve_relay(relay, tls=server_tls(), implicit=True) as port,
        provider(port, url, tls_context=client_tls()) as smtp,
    ):
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.ACCEPTED


async def test_nothing_goes_in_clear_where_tls_is_demanded() -> None:
    relay = Relay()
    async with serve_relay(relay) as port, provider(port, "smtp://127.0.0.1:{port}?starttls=1") as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.RETRY
    assert relay.received == []


async def test_an_unknown_certificate_is_a_retry() -> None:
    relay = Relay()
    url = "smtp://127.0.0.1:{port}?starttls=1"
    async with serve_relay(relay, tls=server_tls()) as port, provider(port, url) as smtp:
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is Answer.RETRY
    assert relay.received == []


@pytest.mark.parametrize(("password", "answer"), [("p%40ss%2Fword", Answer.ACCEPTED), ("wrong", Answer.PAUSED)])
async def test_logging_in(password: str, answer: Answer) -> None:
    relay = Relay()
    url = f"smtp://user:{password}@127.0.0.1:{{port}}?starttls=1"
    async with (
        serve_relay(relay, tls=server_tls(), auth=True) as port,
        provider(port, url, tls_context=client_tls()) as smtp,
    ):
        (verdict,) = await smtp.send([outgoing()])
    assert verdict.answer is answer


async def test_a_group_goes_through_the_relay_and_uncertain_ones_are_resent_once(rig: Rig) -> None:
    relay = Relay()
    async with serve_relay(relay) as port:
        settings = {"smtp_url": f"smtp://127.0.0.1:{port}", "uncertain_after": "0.3", "smtp_connections": "3"}
        async with rig.dispatcher(**settings):
            await rig.post([f"p{number}@example.org" for number in range(20)], method="smtp", group_id="all")
            await rig.until("all")
            relay.breaks = {"DOT"}
            await rig.post(["once@example.org"], method="smtp", group_id="lost")
            await rig.until("lost", ended=1)
    assert relay.connections <= 3 + 2
    to = [recipients[0] for _, recipients, _ in relay.received]
    assert sorted(to) == sorted([f"p{number}@example.org" for number in range(20)] + ["once@example.org"] * 2)
    assert await rig.types(0, "lost") == ["uncertain", "failed"]
    assert (await rig.events(0, "lost"))[-1].reason_code == "uncertain_given_up"
    assert (await rig.events(0, "all"))[0].external_id == "ABC123"
