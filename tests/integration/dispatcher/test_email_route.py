"""Mandrill behind a running dispatcher, and the route `email`: the first that works, never two for one message."""

from __future__ import annotations

import asyncio
import json
import time

from morpheus_kit.ids import message_id
from tests.integration.dispatcher.relay import Relay, serve_relay
from tests.integration.dispatcher.rig import Rig
from tests.integration.providers.server import Script, serve

SENT = b'[{"email":"x","status":"sent","_id":"abc"}]'


def error(name: str) -> bytes:
    return json.dumps({"status": "error", "name": name, "message": "its words"}).encode()


def references(script: Script) -> list[str]:
    """Of each call."""
    return [json.loads(body)["message"]["metadata"]["reference"] for _, body in script.requests]


async def test_a_group_goes_out_by_mandrill(rig: Rig) -> None:
    script = Script(body=SENT)
    async with serve(script) as url, rig.dispatcher(mandrill_url=url, mandrill_key="key"):
        shared = await rig.post(["a@example.org", "b@example.org"], method="mandrill", subaccount="s1", tags=["t"])
        await rig.until()
    wanted = [f"{shared.reference_prefix}-{message_id('acme', 'g', 0, index)}" for index in (0, 1)]
    assert sorted(references(script)) == sorted(wanted)
    message = json.loads(script.requests[0][1])["message"]
    assert (message["subaccount"], message["tags"], message["from_name"]) == ("s1", ["t"], "Acme")
    (event,) = await rig.events(0)
    assert (event.type, event.provider, event.external_id) == ("sent", "mandrill", "abc")


async def test_an_error_of_configuration_pauses_the_group_and_fails_nothing(rig: Rig) -> None:
    script = Script(500, error("Unknown_Subaccount"))
    async with serve(script) as url, rig.dispatcher(mandrill_url=url, mandrill_key="key"):
        await rig.post(["a@example.org"], method="mandrill")
        await rig.until_control("paused")
        await rig.until(waiting=1)
        state = await rig.queue.group_state("acme/g")
        assert state is not None
        assert state["reason_code"] == b"provider_configuration"
        assert state["reason_text"] == b"mandrill: Unknown_Subaccount: its words"
        await asyncio.sleep(0.5)
        assert script.calls == 1
        script.status, script.body = 200, SENT
        await rig.queue.resume("acme/g", "k")
        await rig.until()
    assert script.calls == 2
    assert await rig.types(0) == ["deferred", "sent"]


async def test_email_goes_to_the_next_provider_while_the_first_rests(rig: Rig) -> None:
    script, relay = Script(401, error("Invalid_Key")), Relay()
    async with serve(script) as url, serve_relay(relay) as port:
        settings = {"mandrill_url": url, "mandrill_key": "key", "smtp_url": f"smtp://127.0.0.1:{port}"}
        async with rig.dispatcher(**settings):
            await rig.post(["first@example.org"], method="email", group_id="first")
            await rig.until_types(0, "deferred", group_id="first")
            await rig.post(["second@example.org"], method="email", group_id="second")
            await rig.until("second")
    assert [to for _, to, _ in relay.received] == [["second@example.org"]]
    assert script.calls == 1


async def test_an_uncertain_message_waits_for_the_provider_that_may_have_it(rig: Rig) -> None:
    script, relay = Script(fault="reset"), Relay()
    async with serve(script) as url, serve_relay(relay) as port:
        settings = {"mandrill_url": url, "mandrill_key": "key", "smtp_url": f"smtp://127.0.0.1:{port}"}
        async with rig.dispatcher(**settings, uncertain_after="0.5"):
            await rig.post(["doubt@example.org"], method="email", group_id="doubt")
            await rig.until_types(0, "uncertain", group_id="doubt")
            script.fault, script.status, script.body = "", 401, error("Invalid_Key")
            await rig.post(["other@example.org"], method="email", group_id="other")
            await rig.until_types(0, "deferred", group_id="other")
            await asyncio.sleep(1.5)
            assert relay.received == []
            assert (
                await rig.ledger("doubt") == {"waiting": 1, "sending": 0, "uncertain": 0, "ended": 0}
                or (await rig.ledger("doubt"))["sending"]
            )


async def test_a_row_of_failures_opens_the_breaker_and_costs_the_rest_no_try(rig: Rig) -> None:
    script, relay = Script(503), Relay()
    async with serve(script) as url, serve_relay(relay) as port:
        settings = {"mandrill_url": url, "mandrill_key": "key", "smtp_url": f"smtp://127.0.0.1:{port}"}
        async with rig.dispatcher(**settings, mandrill_connections="5", retry_delays="1,1,1"):
            await rig.post([f"p{number}@example.org" for number in range(300)], method="email")
            await rig.until()
    # The breaker opens after twenty; each lane had at most one more batch under way.
    assert 20 <= script.calls <= 45
    assert len({to[0] for _, to, _ in relay.received}) == len(relay.received) == 300


async def test_the_rate_holds_over_all_lanes(rig: Rig) -> None:
    script = Script(body=SENT)
    async with serve(script) as url, rig.dispatcher(mandrill_url=url, mandrill_key="key", mandrill_rate="20"):
        began = time.monotonic()
        await rig.post([f"p{number}@example.org" for number in range(60)], method="mandrill")
        await rig.until()
        # A second's worth at once, the other forty at twenty a second.
        assert time.monotonic() - began >= 1.9
    assert script.calls == 60
