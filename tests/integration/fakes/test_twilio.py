"""The Twilio fake as the vendor's own client and validator see it."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp
import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from fakes.twilio import Twilio
from tests.integration.fakes.receiver import Receiver

SENDER = "+447700900000"


class ToTheFake(TwilioHttpClient):  # type: ignore[misc]  # it has no types
    """The vendor's HTTP client, with the fake in the place of api.twilio.com."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=0.5)
        self._place = urlsplit(url)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        asked = urlsplit(url)
        assert asked.hostname == "api.twilio.com"
        place = urlunsplit((self._place.scheme, self._place.netloc, asked.path, asked.query, ""))
        return super().request(method, place, *args, **kwargs)


@pytest.fixture
async def fake(receiver: Receiver) -> AsyncIterator[Twilio]:
    """One that posts to the receiver."""
    async with Twilio.serve(webhook_url=receiver.url) as fake:
        yield fake


def client(fake: Twilio, token: str = "fake-auth-token") -> Client:
    """The vendor's client."""
    return Client(fake.account_sid, token, http_client=ToTheFake(fake.url))


async def send(fake: Twilio, to: str, body: str = "Hi", **more: Any) -> Any:
    """Create a message."""
    return await to_thread(lambda: client(fake).messages.create(to=to, from_=SENDER, body=body, **more))


def callbacks(fake: Twilio, receiver: Receiver) -> list[dict[str, str]]:
    """The forms of all webhooks; the vendor's validator takes every signature."""
    validator, forms = RequestValidator(fake.auth_token), []
    for webhook in receiver.received:
        form = dict(parse_qsl(webhook.body.decode(), keep_blank_values=True))
        assert validator.validate(webhook.url, form, webhook.headers["X-Twilio-Signature"])
        forms.append(form)
    return forms


async def test_text_is_taken_recorded_and_called_back(fake: Twilio, receiver: Receiver) -> None:
    sent = await send(fake, "+447911123456", "€" * 81)
    assert (sent.status, sent.num_segments, sent.error_code, sent.price) == ("queued", "2", None, None)
    assert [(taken.id, taken.address, taken.sender) for taken in fake.messages] == [(sent.sid, "+447911123456", SENDER)]
    await fake.settled()
    told = [(form["MessageSid"], form["MessageStatus"], form["To"]) for form in callbacks(fake, receiver)]
    assert told == [(sent.sid, "sent", "+447911123456"), (sent.sid, "delivered", "+447911123456")]
    fetched = await to_thread(lambda: client(fake).messages(sent.sid).fetch())
    assert (fetched.status, fetched.price, fetched.price_unit) == ("delivered", "-0.04000", "USD")
    [listed] = await to_thread(lambda: client(fake).messages.list(to="+447911123456"))
    assert listed.sid == sent.sid


async def test_message_chooses_where_its_callbacks_go(fake: Twilio, receiver: Receiver) -> None:
    fake.webhook_url = "http://127.0.0.1:1/nobody"
    await send(fake, "+447911123456", status_callback=receiver.url)
    await fake.settled()
    assert len(callbacks(fake, receiver)) == 2
    assert fake.messages[0].metadata == {"from": "fake"}


@pytest.mark.parametrize(
    ("to", "body", "status", "code"),
    [
        ("+447700900429", "Hi", 429, 20429),
        ("+447700900500", "Hi", 500, 20500),
        ("+447700900503", "Hi", 503, 20503),
        ("+447700900401", "Hi", 401, 20003),
        ("1234", "Hi", 400, 21211),
        ("+447911123456", "", 400, 21602),
        ("+447911123456", "x" * 1601, 400, 21617),
    ],
)
async def test_refusal_has_the_form_of_the_api(fake: Twilio, to: str, body: str, status: int, code: int) -> None:
    with pytest.raises(TwilioRestException) as error:
        await send(fake, to, body)
    assert (error.value.status, error.value.code) == (status, code)
    assert fake.messages == []


@pytest.mark.parametrize("code", [21211, 21606, 21610, 21612, 21614])
async def test_ordered_error_comes_by_its_code(fake: Twilio, code: int) -> None:
    fake.faults.order("+4479*", f"error.{code}")
    with pytest.raises(TwilioRestException) as error:
        await send(fake, "+447911123456")
    assert error.value.code == code
    assert str(code) in error.value.uri or error.value.msg


async def test_token_is_checked(fake: Twilio) -> None:
    with pytest.raises(TwilioRestException) as error:
        await to_thread(lambda: client(fake, "bad").messages.create(to="+447911123456", from_=SENDER, body="Hi"))
    assert (error.value.status, error.value.code) == (401, 20003)


@pytest.mark.parametrize(("number", "taken"), [("110", 0), ("111", 1), ("112", 0), ("113", 1)])
async def test_answer_is_lost(fake: Twilio, number: str, taken: int) -> None:
    with pytest.raises(requests.exceptions.RequestException):
        await send(fake, f"+447700900{number}")
    assert (len(fake.messages), len(fake.calls)) == (taken, 1)


async def test_limited_fault_ends(fake: Twilio) -> None:
    with pytest.raises(TwilioRestException):
        await send(fake, "+447700900114")
    assert (await send(fake, "+447700900114")).status == "queued"


async def test_failures_carry_their_code(fake: Twilio, receiver: Receiver) -> None:
    for number, told in {
        "103": [("sent", None), ("undelivered", "30005")],
        "104": [("sent", None), ("undelivered", "30003")],
        "106": [("sent", None), ("failed", "30007")],
        "108": [("sent", None), ("sent", None), ("delivered", None), ("delivered", None)],
        "102": [],
    }.items():
        receiver.received.clear()
        await send(fake, f"+447700900{number}")
        await fake.settled()
        forms = callbacks(fake, receiver)
        assert [(form["MessageStatus"], form.get("ErrorCode")) for form in forms] == told, number


async def test_number_that_texted_stop_is_refused_until_it_texts_start(fake: Twilio, receiver: Receiver) -> None:
    async with aiohttp.ClientSession(fake.url) as http:
        for word, opt_out in (("stop ", "STOP"), ("hello", None), ("START", "START")):
            text = {"event": "inbound", "from": "+447911123456", "to": SENDER, "body": word}
            assert (await http.post("/_fake/events", json=text)).status == 202
            await fake.settled()
            form = callbacks(fake, receiver)[-1]
            assert (form["Body"].strip(), form.get("OptOutType"), form["From"]) == (
                word.strip(),
                opt_out,
                "+447911123456",
            )
            if opt_out == "STOP":
                with pytest.raises(TwilioRestException) as error:
                    await send(fake, "+447911123456")
                assert error.value.code == 21610
    assert (await send(fake, "+447911123456")).status == "queued"
