"""The relay as a client of its own kind sees it."""

from __future__ import annotations

import smtplib
from asyncio import to_thread
from collections.abc import AsyncIterator

import aiohttp
import pytest

from fakes.smtp import Smtp

MAIL = b"Subject: Hello\r\nX-Ref: r1\r\n\r\nHi\r\n"


@pytest.fixture
async def relay() -> AsyncIterator[Smtp]:
    """One without a login."""
    async with Smtp.serve() as relay:
        yield relay


async def send(relay: Smtp, *addresses: str, login: tuple[str, str] | None = None) -> dict[str, tuple[int, bytes]]:
    """By the standard library's client, which blocks."""

    def go() -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=0.5) as client:
            if login:
                client.login(*login)
            return client.sendmail("from@example.com", addresses, MAIL)

    return await to_thread(go)


async def test_mail_is_taken_for_each_recipient(relay: Smtp) -> None:
    assert await send(relay, "a@example.com", "b@example.com") == {}
    assert [message.address for message in relay.messages] == ["a@example.com", "b@example.com"]
    assert (relay.messages[0].subject, relay.messages[0].metadata) == ("Hello", {"x-ref": "r1"})
    assert relay.messages[0].content["raw"].endswith("Hi\r\n")
    async with aiohttp.ClientSession(relay.control_url) as client:
        found = await (await client.get("/_fake/messages?metadata.x-ref=r1&address=b@example.com")).json()
    assert found["total"] == 1


async def test_one_recipient_is_refused_and_the_others_are_taken(relay: Smtp) -> None:
    refused = await send(relay, "fault+rejected@example.com", "a@example.com")
    assert {address: code for address, (code, _) in refused.items()} == {"fault+rejected@example.com": 550}
    assert [message.address for message in relay.messages] == ["a@example.com"]


@pytest.mark.parametrize(("token", "code"), [("451", 451), ("error.552", 552), ("429", 421), ("503", 503)])
async def test_fault_is_the_answer_after_the_final_dot(relay: Smtp, token: str, code: int) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as error:
        await send(relay, f"fault+{token}@example.com")
    assert error.value.smtp_code == code
    assert relay.messages == []


@pytest.mark.parametrize(("token", "taken"), [("reset", 0), ("reset-taken", 1), ("hang", 0), ("hang-taken", 1)])
async def test_answer_after_the_final_dot_is_lost(relay: Smtp, token: str, taken: int) -> None:
    with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
        await send(relay, f"fault+{token}@example.com")
    assert len(relay.messages) == taken
    assert [call.status for call in relay.calls] == [None]


async def test_limited_fault_ends(relay: Smtp) -> None:
    with pytest.raises(smtplib.SMTPDataError):
        await send(relay, "fault+451x1@example.com")
    assert await send(relay, "fault+451x1@example.com") == {}


async def test_login_is_checked() -> None:
    async with Smtp.serve(user="user", password="right") as relay:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await send(relay, "a@example.com", login=("user", "wrong"))
        assert await send(relay, "a@example.com", login=("user", "right")) == {}
