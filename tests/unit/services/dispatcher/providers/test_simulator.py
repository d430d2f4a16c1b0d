"""What the simulator addresses play."""

from __future__ import annotations

import pytest

from services.dispatcher.providers import simulator
from services.dispatcher.verdicts import Answer

ADDRESSES = {
    "delivered": (Answer.ACCEPTED, ["delivered"]),
    "opened": (Answer.ACCEPTED, ["delivered", "opened"]),
    "clicked": (Answer.ACCEPTED, ["delivered", "opened", "clicked"]),
    "bounced": (Answer.ACCEPTED, ["hard_bounced"]),
    "soft-bounced": (Answer.ACCEPTED, ["soft_bounced"]),
    "late-bounced": (Answer.ACCEPTED, ["delivered", "hard_bounced"]),
    "complained": (Answer.ACCEPTED, ["delivered", "complained"]),
    "unsubscribed": (Answer.ACCEPTED, ["delivered", "unsubscribed"]),
    "refused": (Answer.REFUSED, []),
    "throttled": (Answer.THROTTLED, []),
    "down": (Answer.RETRY, []),
    "timeout-sent": (Answer.UNCLEAR, ["delivered"]),
    "timeout-lost": (Answer.UNCLEAR, []),
    "early-receipt": (Answer.ACCEPTED, ["delivered"]),
    "repeated-receipt": (Answer.ACCEPTED, ["delivered"]),
}


def test_every_address_has_a_play() -> None:
    assert set(ADDRESSES) == simulator.NAMES


@pytest.mark.parametrize("suffix", ["", "+anything"])
@pytest.mark.parametrize("what", sorted(ADDRESSES))
def test_first_call(what: str, suffix: str) -> None:
    play = simulator.play(f"{what}{suffix}@Simulator.example.com", 1)
    assert (play.verdict.answer, [event.type for event in play.events]) == ADDRESSES[what]


@pytest.mark.parametrize("what", ["throttled", "timeout-lost"])
def test_a_second_call_gets_through(what: str) -> None:
    assert simulator.play(f"{what}@simulator.example.com", 2) == simulator.DELIVERED


@pytest.mark.parametrize("address", ["refused@example.com", "what@simulator.example.com", "+441234567890"])
def test_every_other_address_is_delivered(address: str) -> None:
    assert simulator.play(address, 1) == simulator.DELIVERED


def test_events_of_one_address_come_in_their_order() -> None:
    for what in simulator.NAMES:
        after = [event.after for event in simulator.play(f"{what}@simulator.example.com", 2).events]
        assert after == sorted(after)
