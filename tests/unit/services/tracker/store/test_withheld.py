"""A document whose contents are withheld: the same in whatever order record and events come, and without them."""

from __future__ import annotations

from itertools import permutations

import msgspec

from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event, MessageRecord, QueuedMessage, pack
from services.tracker.documents import Head
from services.tracker.store.changes import apply, collect

ID = "d9dc1902-922c-5f6f-9e95-4746ad0b9453"
SECRET = "tok-914477"
LINK = f"https://example.com/reset?{SECRET}"
CONTEXT = msgspec.Raw(msgspec.msgpack.encode({"link": LINK}))


def record() -> MessageRecord:
    message = QueuedMessage(1, ID, 0, 0, 5, "ada@example.com", context=CONTEXT, withheld=["link"])
    # As a sender that knows nothing of it would have written it.
    return MessageRecord(ID, "acme", "g", pack(message), True, SECRET, LINK, LINK)


EVENTS = [
    Event(ID, "sent", 1, 10, provider="ses", external_id="a", detail={"cost_micros": 5, "cost_currency": "GBP"}),
    Event(ID, "clicked", 0, 30, "ses", discriminator=LINK, detail={"url": LINK}),
    Event(ID, "clicked", 0, 30, "ses", discriminator=LINK + "2", detail={"url": LINK + "2"}),
    Event(ID, "soft_bounced", 0, 20, "ses", reason_text=f"I do not like {SECRET}"),
]


def test_every_order_gives_the_same_document_without_the_secret() -> None:
    results = set()
    told: list[MessageRecord | Event] = [record(), *EVENTS]
    for order in permutations(told):
        head: Head | None = None
        for each in order:
            said = Outcome(messages=[each]) if isinstance(each, MessageRecord) else Outcome(events=[each])
            (change,) = collect(said).values()
            applied = apply(ID, change, head, 7)
            if applied is not None:
                head = applied.head
                assert applied.body is None or SECRET.encode() not in pack(applied.body)
        assert head is not None
        results.add(msgspec.msgpack.encode(head, order="deterministic"))
    (packed,) = results
    assert SECRET.encode() not in packed
    found = msgspec.msgpack.decode(packed, type=Head)
    assert found.withheld
    assert found.folded.state == "clicked"
    assert found.folded.value("cost_micros") == 5
    assert [each.type for each in found.folded.events] == ["sent", "soft_bounced", "clicked"]
