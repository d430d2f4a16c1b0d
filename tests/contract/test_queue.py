"""What an accepted post leaves in the queue: every field, nothing else, in posting order."""

from __future__ import annotations

from typing import Any

import msgspec

from morpheus_kit import ids
from morpheus_kit.queue.elements import unpack_element
from morpheus_kit.queue.outcomes import Outcome, unpack_outcome
from morpheus_kit.queue.schema import (
    PdfSource,
    QueuedMessage,
    SharedInfo,
    StoredFile,
    unpack_message,
    unpack_shared,
)
from morpheus_kit.retention import DAY_S, month_start_ms
from tests.contract.stack import START_MS, Stack

GROUP_KEY = "morpheus:{0}:group:acme/welcome-1"


async def pending(stack: Stack, part: int = 0) -> list[QueuedMessage]:
    """The messages of a part."""
    elements: Any = await stack.redis.lrange(f"morpheus:{{0}}:pending:acme/welcome-1/{part}", 0, -1)
    unpacked = [unpack_element(element) for element in elements]
    messages = [unpack_message(element.blob) for element in unpacked]
    assert [(element.attempt, element.tries, element.message_id) for element in unpacked] == [
        (1, 0, message.id) for message in messages
    ]
    return messages


async def outcomes(stack: Stack) -> list[Outcome]:
    """The entries for the tracker."""
    entries: Any = await stack.redis.xrange("morpheus:{0}:outcomes")
    return [unpack_outcome(fields) for _, fields in entries]


async def shared(stack: Stack) -> SharedInfo:
    """The group's shared information."""
    packed = await stack.redis.hget(GROUP_KEY, "shared")
    assert isinstance(packed, bytes)
    return unpack_shared(packed)


async def test_ids_are_those_that_a_client_can_compute(stack: Stack) -> None:
    await stack.post(part=4)
    messages = await pending(stack, 4)
    assert [message.id for message in messages] == [ids.message_id("acme", "welcome-1", 4, index) for index in (0, 1)]
    assert [(message.index, message.part) for message in messages] == [(0, 4), (1, 4)]


async def test_a_recipient_is_queued_whole(stack: Stack) -> None:
    recipient = {
        "address": "ada@example.com",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "user_link": "https://example.com/ada",
        "tags": ["vip", "x"],
        "context": {"order": "HB-1", "when": [1.5, None, True]},
        "pdf_attachments": [{"name": "invoice.pdf", "html": "<p>{{ not a template }}</p>"}],
        "s3_attachments": [{"path": "terms.pdf"}, {"path": "a/b.pdf", "name": "c.pdf"}],
    }
    await stack.post(recipients=[recipient])
    (message,) = await pending(stack)
    assert msgspec.msgpack.decode(message.context) == recipient["context"]
    expected = QueuedMessage(
        1,
        ids.message_id("acme", "welcome-1", 0, 0),
        0,
        0,
        START_MS,
        "ada@example.com",
        "Ada",
        "Lovelace",
        "https://example.com/ada",
        ["vip", "x"],
        message.context,
        [PdfSource("invoice.pdf", "<p>{{ not a template }}</p>")],
        [StoredFile("terms.pdf"), StoredFile("a/b.pdf", "c.pdf")],
    )
    assert message == expected


async def test_shared_information_is_queued_whole(stack: Stack) -> None:
    await stack.post(
        part=1,
        parts=3,
        method="email",
        context={"clerk": "Marta"},
        reply_to="help@example.com",
        tags=["a", "b"],
        headers={"X-A": "1"},
        priority="high",
        send_at="2026-06-01T00:00:00Z",
        expires_at="2026-06-02T00:00:00.5Z",
        missing_variables="empty",
        on_uncertain="give_up",
    )
    found = await shared(stack)
    assert msgspec.msgpack.decode(found.context) == {"clerk": "Marta"}
    month = "202605"
    assert found == SharedInfo(
        version=1,
        company_code="acme",
        group_id="welcome-1",
        method="email",
        provider_method="email",
        inner_template="order.html",
        outer_template="letter.html",
        subject_template="Hi {{ first_name }}",
        context=found.context,
        from_address="Acme <hi@acme.example.com>",
        reply_to="help@example.com",
        tags=["a", "b"],
        headers={"X-A": "1"},
        priority="high",
        send_at_ms=1_780_272_000_000,
        expires_at_ms=1_780_358_400_500,
        missing_variables="empty",
        on_uncertain="give_up",
        stream="transactional",
        parts=3,
        reference_prefix=ids.reference_prefix(month, 0, "acme", "welcome-1"),
    )
    (entry,) = await outcomes(stack)
    (record,) = entry.groups
    assert (record.shared, record.part, record.total, record.key_id) == (found, 1, 2, "default")


async def test_a_later_part_takes_the_month_of_the_first(stack: Stack) -> None:
    await stack.post(part=0)
    stack.clock.advance(40 * 86_400)
    await stack.post(part=1)
    references = {entry.groups[0].shared.reference_prefix for entry in await outcomes(stack)}
    assert references == {ids.reference_prefix("202605", 0, "acme", "welcome-1")}


async def test_rejected_recipients_are_recorded_with_their_reason_and_not_queued(stack: Stack) -> None:
    recipients: list[dict[str, Any]] = [
        {"address": "nonsense", "first_name": "N", "context": {"a": 1}},
        {"address": "ada@example.com"},
    ]
    await stack.post(recipients=recipients)
    assert [message.index for message in await pending(stack)] == [1]
    (entry,) = await outcomes(stack)
    (record,), (event,) = entry.messages, entry.events
    message = unpack_message(record.blob)
    assert (message.address, message.first_name, message.index) == ("nonsense", "N", 0)
    assert msgspec.msgpack.decode(message.context) == {"a": 1}
    reference = f"{ids.reference_prefix('202605', 0, 'acme', 'welcome-1')}-{message.id}"
    assert (record.reference, event.reference) == (reference, reference)
    assert (event.type, event.attempt, event.reason_code) == ("rejected", 0, "address_invalid")
    values = await stack.redis.hmget(GROUP_KEY, ["total", "waiting", "ended"])
    assert values == [b"2", b"1", b"1"]


async def test_many_recipients_are_queued_in_posting_order(stack: Stack) -> None:
    recipients = [{"address": f"a{number}@example.com", "context": {"n": number}} for number in range(1201)]
    reply = await stack.post(recipients=recipients)
    assert reply.json()["accepted"] == 1201
    messages = await pending(stack)
    assert [message.address for message in messages] == [item["address"] for item in recipients]
    assert [message.index for message in messages] == list(range(1201))


async def test_large_recipients_travel_alone(stack: Stack) -> None:
    recipients = [{"address": f"a{number}@example.com", "context": {"x": "y" * 90_000}} for number in range(11)]
    assert (await stack.post(recipients=recipients)).status_code == 202
    assert len(await pending(stack)) == 11


async def test_what_was_posted_is_known_as_long_as_its_records_are_kept(stack: Stack) -> None:
    """Until the end of the month, and from then on for the company's time."""
    await stack.post()
    await stack.post(company_code="harbour")
    for company, retention_s in (("acme", 365 * DAY_S), ("harbour", 50 * DAY_S)):
        kept_s = (month_start_ms("202606") - START_MS) / 1000 + retention_s
        for name in (f"{company}/welcome-1/0", f"{company}/welcome-1"):
            assert -2 < await stack.redis.ttl(f"morpheus:{{0}}:idem:{name}") - kept_s < 2, name
