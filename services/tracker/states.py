"""What each type of event means, and the states that a message can be in."""

from __future__ import annotations

from typing import NamedTuple

from morpheus_kit.reasons import ReasonCode


class Kind(NamedTuple):
    """What an event type means: its class, its rank inside the class, and the state it leads to."""

    class_: int
    rank: int
    state: str
    reason: str = ""
    """The reason when the event names none; empty: a message in this state has no reason."""
    bounce_type: str = ""


KINDS: dict[str, Kind] = {
    "queued": Kind(0, 0, "queued"),
    "sending": Kind(0, 1, "sending"),
    "deferred": Kind(0, 2, "deferred", ReasonCode.PROVIDER_UNAVAILABLE),
    "uncertain": Kind(0, 3, "uncertain", ReasonCode.PROVIDER_UNCLEAR),
    "rejected": Kind(1, 0, "rejected", ReasonCode.RENDER_FAILED),
    "expired": Kind(1, 1, "expired", ReasonCode.EXPIRED),
    "cancelled": Kind(1, 2, "cancelled", ReasonCode.GROUP_CANCELLED),
    "failed": Kind(1, 3, "failed", ReasonCode.PROVIDER_REFUSED),
    "sent": Kind(2, 0, "sent"),
    "provider_deferred": Kind(3, 0, "deferred", ReasonCode.PROVIDER_UNAVAILABLE),
    "soft_bounced": Kind(3, 1, "bounced", ReasonCode.BOUNCED, "soft"),
    "delivered": Kind(3, 2, "delivered"),
    "opened": Kind(4, 0, "opened"),
    "clicked": Kind(4, 1, "clicked"),
    "refused": Kind(5, 0, "failed", ReasonCode.PROVIDER_REFUSED),
    "hard_bounced": Kind(5, 1, "bounced", ReasonCode.BOUNCED, "hard"),
    "unsubscribed": Kind(5, 2, "unsubscribed", ReasonCode.UNSUBSCRIBED),
    "complained": Kind(5, 3, "complained", ReasonCode.COMPLAINED),
}

STATES: tuple[str, ...] = (
    *("queued", "sending", "deferred", "uncertain", "rejected", "expired", "cancelled", "failed", "sent"),
    *("delivered", "bounced", "opened", "clicked", "unsubscribed", "complained"),
)
MILESTONES: tuple[str, ...] = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
WAITING_STATES = frozenset(["queued", "deferred"])

REACHES: dict[str, tuple[str, ...]] = {
    "sent": ("sent",),
    "delivered": ("delivered",),
    "opened": ("opened", "delivered"),
    "clicked": ("clicked", "delivered"),
    "soft_bounced": ("bounced",),
    "hard_bounced": ("bounced",),
    "complained": ("complained", "delivered"),
    "unsubscribed": ("unsubscribed", "delivered"),
}
"""The milestones that an event's time is the first time of; a later one implies that it was delivered."""
PASSES = frozenset(["sending", "deferred", "uncertain", "failed", "sent"])
"""Our own events that tell of an attempt."""
