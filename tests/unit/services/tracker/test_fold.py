"""The fold is a function of the set of events: order, repetition and batches do not matter."""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morpheus_kit.queue.schema import Event
from services.tracker.fold import EVENTS_OF_A_TYPE, Folded, fold
from services.tracker.happenings import event_id
from services.tracker.states import KINDS, STATES

ID = "d9dc1902-922c-5f6f-9e95-4746ad0b9453"

ours = st.builds(
    Event,
    reference=st.just(f"202606-000-0a1b2c3d-{ID}"),
    type=st.sampled_from([name for name, kind in KINDS.items() if kind.class_ < 3]),
    attempt=st.integers(0, 3),
    time_ms=st.integers(1000, 1003),
    reason_code=st.sampled_from(["", "expired", "provider_refused"]),
    reason_text=st.sampled_from(["", "a", "b"]),
    provider=st.sampled_from(["", "smtp", "test"]),
    external_id=st.sampled_from(["", "x", "y"]),
    next_try_at_ms=st.sampled_from([0, 2000]),
    detail=st.sampled_from([{}, {"cost_micros": 5, "cost_currency": "GBP"}, {"segments": 2, "other": True}]),
)
theirs = st.builds(
    Event,
    reference=st.just(f"202606-000-0a1b2c3d-{ID}"),
    type=st.sampled_from([*(name for name, kind in KINDS.items() if kind.class_ >= 3), "something_new"]),
    attempt=st.just(0),
    time_ms=st.integers(1000, 1003),
    source=st.sampled_from(["test", "mandrill"]),
    reason_code=st.sampled_from(["", "bounced"]),
    discriminator=st.sampled_from(["", "https://example.com"]),
    provider=st.sampled_from(["", "test"]),
    external_id=st.sampled_from(["", "z"]),
    undated=st.booleans(),
)
events = st.lists(st.one_of(ours, theirs), max_size=12)


def event(type_: str, attempt: int = 1, time_ms: int = 1000, source: str = "us", **more: object) -> Event:
    return Event("ref", type_, attempt, time_ms, source, **more)  # type: ignore[arg-type]


def stored(folded: Folded) -> Folded:
    """As it comes back from a store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(folded), type=Folded)


@given(events, st.data())
def test_any_order_repetition_and_batching_gives_the_same(items: list[Event], data: st.DataObject) -> None:
    whole = fold(ID, None, items)
    repeated = data.draw(st.lists(st.sampled_from(items), max_size=6)) if items else []
    shuffled = data.draw(st.permutations([*items, *repeated]))
    cut = data.draw(st.integers(0, len(shuffled)))
    in_two = fold(ID, stored(fold(ID, None, shuffled[:cut])), shuffled[cut:])
    assert stored(in_two) == stored(whole)


@given(events)
def test_repeated_fold_changes_nothing(items: list[Event]) -> None:
    once = fold(ID, None, items)
    before = msgspec.msgpack.encode(once)
    assert fold(ID, once, items) == once
    assert msgspec.msgpack.encode(once) == before


@given(events)
def test_state_is_one_of_the_contract(items: list[Event]) -> None:
    folded = fold(ID, None, items)
    assert folded.state in STATES
    if folded.state in {"sent", "delivered", "opened", "clicked", "queued", "sending"}:
        assert folded.reason == ("", "")
    else:
        assert folded.reason[0]


@given(st.lists(st.integers(0, 200), min_size=0, max_size=120), st.data())
def test_the_earliest_events_of_each_type_are_kept(times: list[int], data: st.DataObject) -> None:
    items = [event("opened", 0, 1000 + time, "test") for time in times]
    folded = fold(ID, None, [])
    for item in data.draw(st.permutations(items)):
        folded = fold(ID, folded, [item])
    assert [each.time_ms for each in folded.events] == [1000 + time for time in sorted(set(times))[:EVENTS_OF_A_TYPE]]


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([], "queued"),
        (["sending"], "sending"),
        (["deferred", "sending"], "deferred"),
        (["uncertain", "sent"], "sent"),
        (["failed", "sent"], "sent"),
        (["sent", "delivered"], "delivered"),
        (["delivered"], "delivered"),
        (["sent", "provider_deferred"], "deferred"),
        (["sent", "soft_bounced"], "bounced"),
        (["delivered", "opened", "clicked"], "clicked"),
        (["clicked", "hard_bounced"], "bounced"),
        (["hard_bounced", "complained", "unsubscribed"], "complained"),
        (["delivered", "refused"], "failed"),
        (["something_new"], "queued"),
    ],
)
def test_state_of_a_history(history: list[str], state: str) -> None:
    items = [event(name, 1, 1000, "test" if KINDS.get(name, KINDS["opened"]).class_ > 2 else "us") for name in history]
    assert fold(ID, None, items).state == state


def test_later_attempt_waits_again() -> None:
    folded = fold(ID, None, [event("uncertain", 1), event("sending", 2)])
    assert (folded.state, folded.attempts) == ("sending", 2)


def test_provider_time_decides_between_transport_events() -> None:
    bounced, delivered = event("soft_bounced", 0, 3000, "ses"), event("delivered", 0, 2000, "ses")
    folded = fold(ID, None, [bounced, delivered])
    assert (folded.state, folded.bounce_type, folded.reason[0]) == ("bounced", "soft", "bounced")


def test_waiting_message_says_why_and_until_when() -> None:
    folded = fold(
        ID, None, [event("deferred", 1, reason_code="provider_throttled", reason_text="wait", next_try_at_ms=5000)]
    )
    assert (folded.reason, folded.next_try_at_ms) == (("provider_throttled", "wait"), 5000)
    assert fold(ID, folded, [event("sent", 2)]).next_try_at_ms == 0


def test_engagement_implies_delivery() -> None:
    folded = fold(ID, None, [event("clicked", 0, 4000, "ses"), event("opened", 0, 3000, "ses")])
    assert folded.first == {"clicked": 4000, "opened": 3000, "delivered": 3000}


def test_only_our_own_end_settles() -> None:
    delivered = fold(ID, None, [event("delivered", 0, 2000, "ses"), event("deferred", 1)])
    assert delivered.settled_ms == 0
    assert fold(ID, delivered, [event("sent", 2, 1500)]).settled_ms == 1500


def test_fields_come_from_the_largest_event_that_carries_them() -> None:
    folded = fold(
        ID,
        None,
        [
            event("delivered", 0, 2000, "ses"),
            event("sent", 2, provider="ses", external_id="b", detail={"cost_micros": 7, "cost_currency": "USD"}),
            event("sent", 1, provider="smtp", external_id="a"),
        ],
    )
    assert (folded.value("provider"), folded.value("external_id"), folded.value("cost_micros")) == ("ses", "b", 7)
    assert folded.value("segments") is None


def test_event_ids_follow_the_contract() -> None:
    folded = fold(ID, None, [event("sent", 2), event("opened", 0, 5000, "mandrill", discriminator="https://a/b")])
    ids = {each.type: event_id(ID, each.identity) for each in folded.events}
    assert ids == {
        "sent": "5c96e456-659f-5197-91a6-f7a1c7d55c34",
        "opened": "33f89634-447d-52e3-9084-693cdff60b8c",
    }


def test_an_event_without_a_time_of_its_own_is_the_same_when_it_is_told_again() -> None:
    told = [
        event("delivered", 0, time_ms, "twilio", discriminator="delivered", undated=True) for time_ms in (1000, 2000)
    ]
    folded = fold(ID, fold(ID, None, told[1:]), told[:1])
    (kept,) = folded.events
    assert (kept.time_ms, folded.first["delivered"]) == (1000, 1000)
    assert event_id(ID, kept.identity) == str(uuid5(UUID(ID), "twilio/delivered/0/delivered"))
