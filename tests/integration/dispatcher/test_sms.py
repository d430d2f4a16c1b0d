"""Text messages behind a running dispatcher: the outbox, Twilio, Bird, and the route over both."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from morpheus_kit.ids import message_id
from tests.integration.dispatcher.rig import Rig
from tests.integration.providers.server import Script, serve

TEXT: dict[str, Any] = {"outer_template": "", "subject_template": "", "from_address": "ACME"}
NUMBER = "+447700900123"
TAKEN_BY_TWILIO = b'{"sid":"SM1","status":"queued","num_segments":"1","price":null,"price_unit":"USD"}'
TAKEN_BY_BIRD = (
    b'{"id":"sms_1","status":"accepted","segments":{"count":2},"cost":{"amount":"0.0099","currency_code":"USD"}}'
)


def twilio(url: str) -> dict[str, str]:
    return {"twilio_url": url, "twilio_account_sid": "AC1", "twilio_auth_token": "t"}


def bird(url: str) -> dict[str, str]:
    return {"bird_url": url, "bird_key": "bk_us1_x"}


async def test_a_number_with_test_is_a_text_file_with_its_size_and_cost(rig: Rig) -> None:
    async with rig.dispatcher():
        await rig.post([NUMBER], **TEXT)
        await rig.until()
        await rig.until_types(0, "sent", "delivered")
    own = message_id("acme", "g", 0, 0)
    assert (rig.outbox / f"{own}.txt").read_text().startswith("Hello")
    event = (await rig.events(0))[0]
    assert event.detail == {"segments": 1, "encoding": "gsm7", "cost_micros": 40_000, "cost_currency": "EUR"}


async def test_a_group_goes_out_by_twilio(rig: Rig) -> None:
    script = Script(201, TAKEN_BY_TWILIO)
    async with serve(script) as url, rig.dispatcher(**twilio(url)):
        await rig.post([NUMBER], method="sms", **TEXT)
        await rig.until()
    ((path, body),) = script.requests
    assert path == "/2010-04-01/Accounts/AC1/Messages.json"
    form = parse_qs(body.decode())
    assert (form["To"], form["From"]) == ([NUMBER], ["ACME"])
    (event,) = await rig.events(0)
    assert (event.type, event.provider, event.external_id) == ("sent", "twilio", "SM1")
    assert (event.detail["segments"], event.detail["cost_micros"]) == (1, 40_000)


async def test_the_providers_own_cost_is_believed(rig: Rig) -> None:
    script = Script(202, TAKEN_BY_BIRD)
    async with serve(script) as url, rig.dispatcher(**bird(url)):
        await rig.post([NUMBER], method="sms", **TEXT)
        await rig.until()
    (event,) = await rig.events(0)
    assert (event.provider, event.external_id) == ("bird", "sms_1")
    assert event.detail == {"segments": 2, "encoding": "gsm7", "cost_micros": 9900, "cost_currency": "USD"}


async def test_what_a_provider_refuses_costs_nothing(rig: Rig) -> None:
    script = Script(400, b'{"code":21610,"message":"its words"}')
    async with serve(script) as url, rig.dispatcher(**twilio(url)):
        await rig.post([NUMBER], method="sms", **TEXT)
        await rig.until()
    (event,) = await rig.events(0)
    assert (event.type, event.reason_code, event.reason_text) == ("failed", "unsubscribed", "twilio: 21610: its words")
    assert event.detail == {"segments": 1, "encoding": "gsm7"}


async def test_a_sender_that_is_not_ours_pauses_the_group(rig: Rig) -> None:
    script = Script(400, b'{"code":21606,"message":"not yours"}')
    async with serve(script) as url, rig.dispatcher(**twilio(url)):
        await rig.post([NUMBER], method="sms", **TEXT)
        await rig.until_control("paused")
        await rig.until(waiting=1)
    assert await rig.types(0) == ["deferred"]


async def test_sms_goes_to_the_next_provider_while_the_first_rests(rig: Rig) -> None:
    first, second = Script(401, b'{"code":20003,"message":"no"}'), Script(202, TAKEN_BY_BIRD)
    async with serve(first) as one, serve(second) as two, rig.dispatcher(**twilio(one), **bird(two)):
        await rig.post([NUMBER], method="sms", group_id="first", **TEXT)
        await rig.until_types(0, "deferred", group_id="first")
        await rig.post([NUMBER], method="sms", group_id="second", **TEXT)
        await rig.until("second")
    assert first.calls == 1
    reference = json.loads(second.requests[0][1])["metadata"]["reference"]
    assert reference.endswith(message_id("acme", "second", 0, 0))


async def test_the_route_names_the_order(rig: Rig) -> None:
    first, second = Script(201, TAKEN_BY_TWILIO), Script(202, TAKEN_BY_BIRD)
    async with (
        serve(first) as one,
        serve(second) as two,
        rig.dispatcher(**twilio(one), **bird(two), sms_route="bird,twilio"),
    ):
        await rig.post([NUMBER], method="sms", **TEXT)
        await rig.until()
    assert (first.calls, second.calls) == (0, 1)


async def test_a_twilio_message_in_doubt_is_given_up_and_never_sent_again(rig: Rig) -> None:
    script = Script(201, TAKEN_BY_TWILIO, fault="reset")
    async with serve(script) as url, rig.dispatcher(**twilio(url), uncertain_after="0.3"):
        await rig.post([NUMBER], method="sms", **TEXT)
        await rig.until()
    assert script.calls == 1
    assert await rig.types(0) == ["uncertain", "failed"]
