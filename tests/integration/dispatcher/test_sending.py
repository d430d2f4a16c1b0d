"""The dispatcher as a whole: real Valkey, real gRPC, real files."""

from __future__ import annotations

import asyncio
import email
import email.policy
import time

import grpc
import pytest
from morpheus.dispatcher.v1 import dispatcher_pb2
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.errors import InvalidInputError, NotFoundError
from morpheus_kit.ids import message_id
from morpheus_kit.queue.keys import SENDERS
from morpheus_kit.rpc.status import from_rpc_error
from tests.integration.dispatcher.rig import Rig, stub


async def test_a_group_is_rendered_sent_recorded_and_delivered(rig: Rig) -> None:
    async with rig.dispatcher():
        await rig.post([f"p{number}@example.org" for number in range(250)])
        await rig.until()
        await rig.until_types(7, "sent", "delivered")

    own = message_id("acme", "g", 0, 7)
    mail = email.message_from_bytes((rig.outbox / f"{own}.eml").read_bytes(), policy=email.policy.default)
    assert (mail["To"], mail["Subject"]) == ("Person7 <p7@example.org>", "Hello Person7")
    assert mail["X-Morpheus-Ref"].endswith(own)
    (record,) = await rig.record(7)
    assert (record.rendered, record.html) == (True, "<p>Hello Person7</p>")
    assert set(rig.calls().values()) == {1}
    assert len(rig.calls()) == 250
    assert max(len(addresses) for addresses in rig.renderer.slices) <= 100


async def test_simulator_addresses_end_as_they_say(rig: Rig) -> None:
    wanted = {
        "delivered": ["sent", "delivered"],
        "opened+x": ["sent", "delivered", "opened"],
        "clicked": ["sent", "delivered", "opened", "clicked"],
        "bounced": ["sent", "hard_bounced"],
        "soft-bounced": ["sent", "soft_bounced"],
        "late-bounced": ["sent", "delivered", "hard_bounced"],
        "complained": ["sent", "delivered", "complained"],
        "unsubscribed": ["sent", "delivered", "unsubscribed"],
        "refused": ["failed"],
        "throttled": ["deferred", "sent", "delivered"],
        "timeout-sent": ["uncertain", "delivered", "sent"],
        "timeout-lost": ["uncertain", "sent", "delivered"],
        "early-receipt": ["delivered", "sent"],
        "repeated-receipt": ["sent", "delivered", "delivered", "delivered"],
    }
    async with rig.dispatcher():
        await rig.post([f"{what}@simulator.example.com" for what in wanted])
        await rig.until()
        for index, types in enumerate(wanted.values()):
            await rig.until_types(index, *types)

    calls = rig.calls()
    twice = {what for index, what in enumerate(wanted) if calls[message_id("acme", "g", 0, index)] == 2}
    assert twice == {"throttled", "timeout-lost"}
    (refused,) = await rig.events(8)
    assert (refused.reason_code, refused.attempt) == ("provider_refused", 1)


async def test_retries_run_out_with_the_last_words_of_the_provider(rig: Rig) -> None:
    async with rig.dispatcher(retry_delays="5,5,5"):
        await rig.post(["down@simulator.example.com"])
        await rig.until()

    events = await rig.events(0)
    assert [(event.type, event.attempt) for event in events] == [
        ("deferred", 1),
        ("deferred", 2),
        ("deferred", 3),
        ("failed", 4),
    ]
    assert events[0].next_try_at_ms > 0
    assert (events[3].reason_code, events[3].reason_text) == ("retries_exhausted", "simulator: the service is down")


async def test_give_up_ends_an_uncertain_message_without_a_second_call(rig: Rig) -> None:
    async with rig.dispatcher(uncertain_after="50"):
        await rig.post(["timeout-lost@simulator.example.com"], on_uncertain="give_up")
        await rig.until()

    assert await rig.types(0) == ["uncertain", "failed"]
    assert rig.calls().total() == 1


async def test_a_message_that_cannot_be_rendered_is_rejected_and_the_others_go(rig: Rig) -> None:
    rig.renderer.fails_for = {"p1@example.org"}
    async with rig.dispatcher():
        await rig.post([f"p{number}@example.org" for number in range(3)])
        await rig.until()

    (event,) = await rig.events(1)
    assert (event.type, event.reason_code, event.reason_text) == (
        "rejected",
        "variable_missing",
        "`number` is missing",
    )
    (record,) = await rig.record(1)
    assert not record.rendered
    assert rig.calls().total() == 2


async def test_a_message_that_breaks_the_renderer_does_not_take_others_along(rig: Rig) -> None:
    rig.renderer.breaks_for = {"p1@example.org"}
    async with rig.dispatcher():
        await rig.post([f"p{number}@example.org" for number in range(5)])
        await rig.until()

    (event,) = await rig.events(1)
    assert (event.type, event.reason_code) == ("rejected", "render_failed")
    assert rig.calls().total() == 4


async def test_a_renderer_that_breaks_for_all_rejects_nobody(rig: Rig) -> None:
    addresses = [f"p{number}@example.org" for number in range(20)]
    rig.renderer.breaks_for = set(addresses)
    async with rig.dispatcher():
        await rig.post(addresses)
        await asyncio.sleep(0.5)
        assert (await rig.ledger())["waiting"] == 20
        rig.renderer.breaks_for = set()
        await rig.until()

    assert rig.calls().total() == 20


async def test_an_address_that_cannot_be_written_is_rejected(rig: Rig) -> None:
    async with rig.dispatcher():
        await rig.post(["ünïcode@example.org", "ok@bücher.example"])
        await rig.until()

    (event,) = await rig.events(0)
    assert (event.type, event.reason_code) == ("rejected", "address_invalid")
    mail = (rig.outbox / f"{message_id('acme', 'g', 0, 1)}.eml").read_bytes()
    assert b"<ok@xn--bcher-kva.example>" in mail


async def test_a_missing_template_rejects_the_part_with_its_name(rig: Rig) -> None:
    rig.renderer.failure = renderer_pb2.Failure(code="template_missing", text="letter.html is not there")
    async with rig.dispatcher():
        await rig.post(["a@example.org", "b@example.org"])
        await rig.until()

    (event,) = await rig.events(1)
    assert (event.type, event.reason_code, event.reason_text) == (
        "rejected",
        "template_missing",
        "letter.html is not there",
    )
    assert rig.renderer.slices == []


async def test_a_group_whose_template_version_is_gone_pauses_and_resume_pins_anew(rig: Rig) -> None:
    rig.renderer.changed = True
    async with rig.dispatcher() as unit:
        await rig.post(["a@example.org"])
        await rig.until_control("paused")
        state = await rig.queue.group_state("acme/g")
        assert state is not None
        assert state["reason_code"] == b"template_changed"
        rig.renderer.changed, rig.renderer.version = False, "2"
        async with stub(unit) as dispatcher:
            reply = await dispatcher.ResumeGroup(dispatcher_pb2.ResumeGroupRequest(company_code="acme", group_id="g"))
        assert reply.control == "running"
        await rig.until()

    assert set(rig.renderer.pins[-1].values()) == {"2"}
    (recorded,) = [each for outcome in await rig.outcomes() for each in outcome.messages]
    assert recorded.template_versions == rig.renderer.pins[-1]


async def test_cancel_stops_what_waits(rig: Rig) -> None:
    rig.renderer.changed = True
    async with rig.dispatcher() as unit:
        await rig.post(["a@example.org", "b@example.org"])
        await rig.until_control("paused")
        async with stub(unit) as dispatcher:
            request = dispatcher_pb2.CancelGroupRequest(company_code="acme", group_id="g", key_id="default")
            replies = [await dispatcher.CancelGroup(request) for _ in range(2)]
        await rig.until()

    assert [(reply.control, reply.stopped) for reply in replies] == [("cancelled", 2), ("cancelled", 0)]
    assert await rig.types(0) == ["cancelled"]
    assert rig.calls().total() == 0


async def test_control_of_an_unknown_group_is_not_found(rig: Rig) -> None:
    async with rig.dispatcher() as unit, stub(unit) as dispatcher:
        with pytest.raises(grpc.RpcError) as raised:
            await dispatcher.PauseGroup(dispatcher_pb2.PauseGroupRequest(company_code="acme", group_id="none"))
        assert isinstance(from_rpc_error(raised.value), NotFoundError)
        with pytest.raises(grpc.RpcError) as raised:
            await dispatcher.PauseGroup(dispatcher_pb2.PauseGroupRequest(company_code="acme"))
        assert isinstance(from_rpc_error(raised.value), InvalidInputError)


async def test_an_unreadable_message_is_dead_and_the_others_go(rig: Rig) -> None:
    async with rig.dispatcher():
        await rig.post(["a@example.org", "b@example.org"], blobs=[b"\xc1"])
        await rig.until()

    (event,) = await rig.events(0)
    assert (event.type, event.reason_code) == ("failed", "dead_letter")
    assert await rig.queue.redis.xlen(rig.queue.keys.dead) == 1
    assert rig.calls().total() == 1


async def test_attachments_are_sent_and_recorded_by_their_hash(rig: Rig) -> None:
    rig.renderer.attachments = [
        renderer_pb2.Attachment(name="invoice.pdf", content_type="application/pdf", content=b"%PDF-" + bytes(999))
    ]
    async with rig.dispatcher():
        await rig.post(["a@example.org"])
        await rig.until()

    (record,) = await rig.record(0)
    assert [(each.name, each.size, len(each.sha256)) for each in record.attachments] == [("invoice.pdf", 1004, 64)]


async def test_stopping_hands_back_what_was_not_started_and_leaves_no_consumer(rig: Rig) -> None:
    rig.renderer.delay = 5
    async with rig.dispatcher():
        await rig.post([f"p{number}@example.org" for number in range(30)])
        async with asyncio.timeout(5):
            while not rig.renderer.slices:
                await asyncio.sleep(0.01)

    assert await rig.ledger() == {"waiting": 30, "sending": 0, "uncertain": 0, "ended": 0}
    stream = rig.queue.keys.messages("test", "normal")
    assert await rig.queue.redis.xlen(stream) == 0
    assert await rig.queue.redis.xinfo_consumers(stream, SENDERS) == []
    rig.renderer.delay = 0
    async with rig.dispatcher():
        await rig.until()
    assert set(rig.calls().values()) == {1}
    assert rig.calls().total() == 30


async def test_a_part_waits_for_a_renderer_that_is_away(rig: Rig) -> None:
    async with rig.dispatcher(renderer_addr="127.0.0.1:1"):
        await rig.post(["a@example.org"])
        await asyncio.sleep(0.5)
        assert (await rig.ledger())["waiting"] == 1
    async with rig.dispatcher():
        await rig.until()
    assert rig.calls().total() == 1


async def test_messages_wait_for_a_renderer_that_is_busy(rig: Rig) -> None:
    rig.renderer.busy = 4  # more than it asks for at once: they are given back to the queue and come again
    async with rig.dispatcher():
        await rig.post(["a@example.org", "b@example.org"])
        await rig.until()
    assert rig.renderer.busy == 0
    assert set(rig.calls().values()) == {1}
    assert rig.calls().total() == 2


async def test_high_priority_overtakes(rig: Rig) -> None:
    await rig.post([f"n{number}@example.org" for number in range(300)], group_id="slow")
    await rig.post(["h@example.org"], group_id="fast", priority="high")
    async with rig.dispatcher(senders="1"):
        await rig.until("slow")
        await rig.until("fast")
    assert any(addresses == ["h@example.org"] for addresses in rig.renderer.slices[:2])


async def test_send_at_waits_and_expires_at_ends(rig: Rig) -> None:
    now = time.time_ns() // 1_000_000
    async with rig.dispatcher():
        await rig.post(["a@example.org"], group_id="soon", send_at_ms=now + 700)
        await rig.post(["b@example.org"], group_id="late", expires_at_ms=now - 1)
        await rig.until("late")
        assert (await rig.ledger("soon"))["waiting"] == 1
        await rig.until("soon")
    assert await rig.types(0, "late") == ["expired"]
    assert (await rig.events(0, "soon"))[0].time_ms >= now + 700
