"""Messages of the route `email` that a provider may have: another one never gets them."""

from __future__ import annotations

import asyncio
from typing import Any

import fakes.bird
from morpheus_kit.ids import message_id
from morpheus_kit.queue.keys import SENDERS
from morpheus_kit.queue.scripts import GateItem
from services.dispatcher.providers.base import Outgoing
from services.dispatcher.providers.bird import BirdProvider
from tests.integration.dispatcher.relay import Relay, serve_relay
from tests.integration.dispatcher.rig import Rig
from tests.integration.providers.server import Script, serve

SENT = b'[{"email":"x","status":"sent","_id":"abc"}]'


async def lose(rig: Rig, address: str, method: str, sender: str, **shared: Any) -> str:
    """A message whose sender passed the gate with it and died; its reference."""
    info = await rig.post([address], method=method, **shared)
    (job,) = await rig.queue.read_jobs("lost", 1, 0)
    await rig.queue.start_part(job.part, job.entry_id, b"\x82\xaaouter.html\xa11\xabletter.html\xa11")
    (item,) = (await rig.queue.take(sender, "n", [method], 100, 1000)).items
    gate = GateItem(item.entry_id, item.element.message_id, item.element.attempt, item.part)
    assert await rig.queue.gate(method, "normal", sender, [gate]) == ["go"]
    stream = rig.queue.keys.messages(method, "normal")
    await rig.queue.redis.xclaim(stream, SENDERS, sender, 0, [item.entry_id], idle=60_000, justid=True)
    return f"{info.reference_prefix}-{item.element.message_id}"


async def test_a_message_of_a_lost_sender_is_resent_where_its_mark_says(rig: Rig) -> None:
    await lose(rig, "lost@example.org", "email", "lost@mandrill")
    script, relay = Script(body=SENT), Relay()
    async with serve(script) as url, serve_relay(relay) as port:
        settings = {
            "mandrill_url": url,
            "mandrill_key": "key",
            "smtp_url": f"smtp://127.0.0.1:{port}",
            "email_route": "smtp,mandrill",
            "uncertain_after": "0.5",
        }
        async with rig.dispatcher(**settings):
            await rig.until()
    assert relay.received == []
    assert [path for path, _ in script.requests].count("/api/1.0/messages/send.json") == 1
    assert [(event.type, event.provider) for event in await rig.events(0)] == [
        ("uncertain", "mandrill"),
        ("sent", "mandrill"),
    ]


async def test_one_whose_provider_is_not_configured_any_more_says_so_and_ends_with_its_retries(rig: Rig) -> None:
    await lose(rig, "lost@example.org", "email", "lost@mandrill")
    relay = Relay()
    async with serve_relay(relay) as port:
        settings = {"smtp_url": f"smtp://127.0.0.1:{port}", "uncertain_after": "0.1", "retry_delays": "0.1,0.1"}
        async with rig.dispatcher(**settings):
            await rig.until()
    assert relay.received == []
    events = await rig.events(0)
    assert [(event.type, event.provider, event.reason_code) for event in events] == [
        ("uncertain", "mandrill", "worker_lost"),
        ("deferred", "mandrill", "provider_unavailable"),
        ("deferred", "mandrill", "provider_unavailable"),
        ("failed", "mandrill", "uncertain_given_up"),
    ]
    assert {event.reason_text for event in events[1:]} == {
        "mandrill: it may have the message, so no other provider gets it, and it is not configured any more"
    }


async def test_one_whose_provider_comes_back_in_time_goes_there(rig: Rig) -> None:
    await lose(rig, "lost@example.org", "email", "lost@mandrill")
    script, relay = Script(body=SENT), Relay()
    async with serve(script) as url, serve_relay(relay) as port:
        settings = {"smtp_url": f"smtp://127.0.0.1:{port}", "uncertain_after": "0.1", "retry_delays": "3,3,3,3"}
        async with rig.dispatcher(**settings):
            async with asyncio.timeout(15):
                while "deferred" not in await rig.types(0):
                    await asyncio.sleep(0.02)
        async with rig.dispatcher(**settings, mandrill_url=url, mandrill_key="key"):
            await rig.until()
    assert relay.received == []
    assert [path for path, _ in script.requests].count("/api/1.0/messages/send.json") == 1
    assert (await rig.types(0))[-1] == "sent"


async def test_a_text_of_a_lost_sender_is_asked_for_at_once_with_its_idempotency_key(rig: Rig) -> None:
    text = {"outer_template": "", "subject_template": "", "from_address": "ACME", "on_uncertain": "give_up"}
    number, key = "+447700900123", "bk_us1_x"
    reference = await lose(rig, number, "sms", "lost", **text)
    async with fakes.bird.serve() as fake:
        bird = BirdProvider(key, url=fake.url, connections=1, timeout=5)
        await bird.start()
        own = message_id("acme", "g", 0, 0)
        (taken,) = await bird.send([Outgoing(own, 1, reference, 0, number, "ACME", b"Hello Person0")])
        await bird.stop()
        async with rig.dispatcher(bird_url=fake.url, bird_key=key):
            # Not the quarter of an hour after which this group gives up.
            await rig.until(seconds=10)
        assert len(fake.records.messages) == 1
    events = await rig.events(0)
    assert [(event.type, event.external_id) for event in events] == [("uncertain", ""), ("sent", taken.external_id)]
