"""Messages of the route `email` that a provider may have: another one never gets them."""

from __future__ import annotations

from morpheus_kit.queue.keys import SENDERS
from morpheus_kit.queue.scripts import GateItem
from tests.integration.dispatcher.relay import Relay, serve_relay
from tests.integration.dispatcher.rig import Rig
from tests.integration.providers.server import Script, serve

SENT = b'[{"email":"x","status":"sent","_id":"abc"}]'


async def test_a_message_of_a_lost_sender_is_resent_where_its_mark_says(rig: Rig) -> None:
    await rig.post(["lost@example.org"], method="email")
    (job,) = await rig.queue.read_jobs("lost", 1, 0)
    await rig.queue.start_part(job.part, job.entry_id, b"\x82\xaaouter.html\xa11\xabletter.html\xa11")
    sender = "lost@mandrill"
    (item,) = (await rig.queue.take(sender, "n", ["email"], 100, 1000)).items
    gate = GateItem(item.entry_id, item.element.message_id, item.element.attempt, item.part)
    assert await rig.queue.gate("email", "normal", sender, [gate]) == ["go"]
    stream = rig.queue.keys.messages("email", "normal")
    await rig.queue.redis.xclaim(stream, SENDERS, sender, 0, [item.entry_id], idle=60_000, justid=True)
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
