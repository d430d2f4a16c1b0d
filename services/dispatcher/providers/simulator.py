"""What the simulator addresses play, `docs/http-api.md`: pure tables, no files, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from morpheus_kit.addresses import SIMULATOR_DOMAIN
from services.dispatcher.verdicts import Answer, Verdict

THROTTLE_SECONDS = 30.0
# Until the receipt of a message whose answer was lost: before it counts as given up.
LOST_ANSWER_SECONDS = 60.0

_ACCEPTED = Verdict(Answer.ACCEPTED)
_REFUSED = Verdict(Answer.REFUSED, "simulator: 550 no such user")
_THROTTLED = Verdict(Answer.THROTTLED, "simulator: too many requests", wait_seconds=THROTTLE_SECONDS)
_DOWN = Verdict(Answer.RETRY, "simulator: the service is down")
_TIMEOUT = Verdict(Answer.UNCLEAR, "simulator: no answer in time")


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """An event `after` seconds; `times` how often the provider tells it."""

    type: str
    after: float = 1.0
    times: int = 1
    reason_code: str = ""
    reason_text: str = ""


@dataclass(frozen=True, slots=True)
class Play:
    """One call's answer and what follows. `early`: the events come before the answer."""

    verdict: Verdict = _ACCEPTED
    events: tuple[SimulatedEvent, ...] = ()
    early: bool = False
    taken: bool = True
    """The simulated provider has the message, whatever it answered."""


_DELIVERED = SimulatedEvent("delivered")
DELIVERED = Play(events=(_DELIVERED,))
_HARD = SimulatedEvent("hard_bounced", reason_code="bounced", reason_text="simulator: 550 mailbox does not exist")
_LATE = SimulatedEvent("hard_bounced", 10.0, reason_code="bounced", reason_text="simulator: returned after delivery")
_SOFT = SimulatedEvent("soft_bounced", reason_code="bounced", reason_text="simulator: 452 mailbox is full")
_OPENED = SimulatedEvent("opened", 2.0)

_PLAYS: dict[str, Play] = {
    "delivered": DELIVERED,
    "opened": Play(events=(_DELIVERED, _OPENED)),
    "clicked": Play(events=(_DELIVERED, _OPENED, SimulatedEvent("clicked", 3.0))),
    "bounced": Play(events=(_HARD,)),
    "soft-bounced": Play(events=(_SOFT,)),
    "late-bounced": Play(events=(_DELIVERED, _LATE)),
    "complained": Play(events=(_DELIVERED, SimulatedEvent("complained", 5.0, reason_code="complained"))),
    "unsubscribed": Play(events=(_DELIVERED, SimulatedEvent("unsubscribed", 5.0, reason_code="unsubscribed"))),
    "refused": Play(_REFUSED, taken=False),
    "throttled": DELIVERED,
    "down": Play(_DOWN, taken=False),
    "timeout-sent": Play(_TIMEOUT, (SimulatedEvent("delivered", LOST_ANSWER_SECONDS),)),
    "timeout-lost": DELIVERED,
    "early-receipt": Play(events=(SimulatedEvent("delivered", 0.0),), early=True),
    "repeated-receipt": Play(events=(SimulatedEvent("delivered", times=3),)),
}
# What the first call answers where it differs; a later attempt gets through.
_FIRST_CALL: dict[str, Play] = {
    "throttled": Play(_THROTTLED, taken=False),
    "timeout-lost": Play(_TIMEOUT, taken=False),
}
NAMES = frozenset(_PLAYS)


def play(address: str, attempt: int) -> Play:
    """What this address does at this attempt; every other one is sent, then delivered."""
    local, _, domain = address.rpartition("@")
    if domain.lower() != SIMULATOR_DOMAIN:
        return DELIVERED
    name = local.partition("+")[0].lower()
    if attempt == 1 and name in _FIRST_CALL:
        return _FIRST_CALL[name]
    return _PLAYS.get(name, DELIVERED)
