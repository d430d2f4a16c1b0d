"""Every sequence, repeats included, of up to six events: what was heard decides, never when or how often."""

from __future__ import annotations

import msgspec
import pytest

from morpheus_kit.queue.schema import Event
from services.tracker.fold import Folded, fold

ID = "d9dc1902-922c-5f6f-9e95-4746ad0b9453"


def us(kind: str, attempt: int, time_ms: int, **more: object) -> Event:
    return Event("ref", kind, attempt, time_ms, "us", **more)  # type: ignore[arg-type]


def them(kind: str, time_ms: int, **more: object) -> Event:
    return Event("ref", kind, 0, time_ms, "ses", **more)  # type: ignore[arg-type]


HISTORIES = {
    "doubt that a receipt settles": [
        us("sending", 1, 10),
        us("uncertain", 1, 20, reason_code="provider_unclear", next_try_at_ms=99),
        us("sent", 1, 40, provider="ses", external_id="a", detail={"cost_micros": 5, "cost_currency": "GBP"}),
        us("sent", 2, 30, provider="ses", external_id="b"),
        them("delivered", 25, external_id="a"),
        us("failed", 2, 30, reason_code="uncertain_given_up"),
    ],
    "transport by the provider's clock": [
        us("sent", 1, 100),
        them("provider_deferred", 50),
        them("soft_bounced", 60, reason_text="full"),
        them("delivered", 60),
        them("delivered", 70),
        them("hard_bounced", 1),
    ],
    "engagement and complaints": [
        them("opened", 30),
        them("opened", 20, discriminator="again"),
        them("clicked", 10, discriminator="https://example.com/"),
        them("complained", 5),
        them("unsubscribed", 6),
        them("something_new", 7),
    ],
    "two versions of one event": [
        us("failed", 1, 20, reason_code="provider_refused", reason_text="a"),
        us("failed", 1, 20, reason_code="provider_refused", reason_text="b"),
        us("failed", 1, 19, reason_code="expired"),
        us("cancelled", 1, 30),
        us("rejected", 0, 5),
        us("deferred", 2, 40, next_try_at_ms=50),
    ],
}


@pytest.mark.parametrize("events", HISTORIES.values(), ids=HISTORIES.keys())
def test_every_sequence_of_the_same_events_gives_the_same(events: list[Event]) -> None:
    known: dict[frozenset[int], bytes] = {}
    sequences = 0

    def go_on(folded: Folded | None, heard: frozenset[int], length: int) -> None:
        nonlocal sequences
        if folded is not None:
            sequences += 1
            packed = msgspec.msgpack.encode(folded, order="deterministic")
            assert known.setdefault(heard, packed) == packed
        if length < len(events):
            for number, event in enumerate(events):
                go_on(fold(ID, folded, [event]), heard | {number}, length + 1)

    go_on(None, frozenset(), 0)
    assert sequences == sum(6**length for length in range(1, 7))
    assert len(known) == 2**6 - 1
