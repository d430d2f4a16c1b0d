"""The fold: what a message's document says, as one pure function of its events.

Commutative, associative and idempotent: early, late, repeated and reordered events give the same
result. Every field comes from the event with the largest key that carries it; equal keys are
decided by event id, and of two versions of one event the earlier counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from morpheus_kit import ids
from morpheus_kit.queue.schema import Event
from morpheus_kit.queue.withholding import kept_detail
from morpheus_kit.reasons import ReasonCode

EVENTS_OF_A_TYPE = 50
OURSELVES = "us"


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

# What an event's time is the first time of; a later one implies that it was delivered.
_REACHES: dict[str, tuple[str, ...]] = {
    "sent": ("sent",),
    "delivered": ("delivered",),
    "opened": ("opened", "delivered"),
    "clicked": ("clicked", "delivered"),
    "soft_bounced": ("bounced",),
    "hard_bounced": ("bounced",),
    "complained": ("complained", "delivered"),
    "unsubscribed": ("unsubscribed", "delivered"),
}
_PASSES = frozenset(["sending", "deferred", "uncertain", "failed", "sent"])
_CARRIED_DETAIL = ("cost_micros", "cost_currency", "segments", "queued_reason", "response")


class Happening(msgspec.Struct, array_like=True, frozen=True):
    """An event without the message's reference, as a document keeps it."""

    type: str
    attempt: int
    time_ms: int
    source: str = OURSELVES
    reason_code: str = ""
    reason_text: str = ""
    discriminator: str = ""
    provider: str = ""
    external_id: str = ""
    next_try_at_ms: int = 0
    detail: dict[str, str | int | float | bool | None] = {}
    undated: bool = False

    @property
    def identity(self) -> str:
        """What its id is made of: `us/<type>/<attempt>` or `<provider>/<type>/<time>/<discriminator>`.

        A provider that names no time tells the same event again at another time of ours: 0 stands for it.
        """
        if self.source == OURSELVES:
            return f"us/{self.type}/{self.attempt}"
        return f"{self.source}/{self.type}/{0 if self.undated else self.time_ms}/{self.discriminator}"


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """A value with what decides whether another one replaces it."""

    key: tuple[int, int, int]
    identity: str
    time_ms: int
    value: Any


class Folded(msgspec.Struct, array_like=True):
    """Everything that a document has from its events."""

    events: list[Happening] = []
    """Oldest first; the 50 earliest of each type."""
    carried: dict[str, Carried] = {}
    first: dict[str, int] = {}
    """Milestone to the first time, in milliseconds."""
    attempts: int = 0
    settled_ms: int = 0
    """First event of our own beyond waiting; 0: not settled."""

    @property
    def state(self) -> str:
        """The state of contracts."""
        top = self.carried.get("state")
        return top.value[0] if top else "queued"

    @property
    def bounce_type(self) -> str:
        """`soft`, `hard` or empty."""
        top = self.carried.get("state")
        return top.value[1] if top else ""

    @property
    def reason(self) -> tuple[str, str]:
        """Code and text of why it did not arrive or waits; both empty otherwise."""
        top = self.carried.get("state")
        return (top.value[2], top.value[3]) if top else ("", "")

    @property
    def next_try_at_ms(self) -> int:
        """When a waiting message is tried again; 0: not known."""
        top = self.carried.get("state")
        return top.value[4] if top else 0

    def value(self, name: str) -> Any:
        """A carried field, or None."""
        found = self.carried.get(name)
        return found.value if found else None


class Step(NamedTuple):
    """An event that changed the state or was the first to reach a milestone, and what was known after it."""

    type: str
    state: str
    time_ms: int
    reason_code: str


def fold(
    message_id: str, old: Folded | None, events: Iterable[Event | Happening], steps: list[Step] | None = None
) -> Folded:
    """What is known after `events`, in any order and any number of times. `old` is left as it is.

    `steps` receives what changed on the way, in the order of `events`.
    """
    if old is None:
        result, kept = Folded([], {}, {}), {}
    else:
        result = Folded(old.events, dict(old.carried), dict(old.first), old.attempts, old.settled_ms)
        kept = {happening.identity: happening for happening in old.events}
    for event in events:
        happening = _strip(event)
        identity = happening.identity
        known = kept.get(identity)
        if known is not None and known == happening:
            continue
        if known is None or _version(happening) < _version(known):
            kept[identity] = happening
        kind = KINDS.get(happening.type)
        if kind is not None:
            before, reached = result.carried.get("state"), len(result.first)
            _apply(message_id, result, happening, kind, identity)
            if steps is not None and (result.carried["state"] is not before or len(result.first) != reached):
                steps.append(Step(happening.type, result.state, happening.time_ms, result.reason[0]))
    result.events = _earliest(kept)
    return result


def event_id(message_id: str, happening: Happening) -> str:
    """The id of one event of a message."""
    source, type_, discriminator = happening.identity.split("/", 2)
    return ids.event_id(message_id, source, type_, discriminator)


def steps_of(message_id: str, folded: Folded) -> list[Step]:
    """The steps of everything that has happened so far, oldest first."""
    steps: list[Step] = []
    fold(message_id, None, folded.events, steps)
    return steps


def kept_happening(event: Event | Happening) -> Happening:
    """An event without what may repeat contents that are withheld; the same one every time."""
    happening = _strip(event)
    return msgspec.structs.replace(
        happening,
        reason_text="",
        discriminator=happening.discriminator if happening.source == OURSELVES else "",
        detail=kept_detail(happening.detail),
    )


def in_order(events: Iterable[Event | Happening]) -> list[Happening]:
    """Events as a document that has all of them keeps them, oldest first."""
    happenings = [_strip(event) for event in events]
    return sorted(happenings, key=_order) if len(happenings) > 1 else happenings


def bare_happening(event: Event | Happening) -> Happening:
    """An event of an erased person's message: what happened when, and what it cost."""
    happening = kept_happening(event)
    return msgspec.structs.replace(happening, external_id="")


def _strip(event: Event | Happening) -> Happening:
    if isinstance(event, Happening):
        return event
    return Happening(
        event.type,
        event.attempt,
        event.time_ms,
        event.source,
        event.reason_code,
        event.reason_text,
        event.discriminator,
        event.provider,
        event.external_id,
        event.next_try_at_ms,
        event.detail,
        event.undated,
    )


def _apply(message_id: str, result: Folded, happening: Happening, kind: Kind, identity: str) -> None:
    key = _key(happening, kind)
    time_ms = happening.time_ms
    for name, value in _values(happening, kind):
        known = result.carried.get(name)
        candidate = Carried(key, identity, time_ms, value)
        if known is None or _beats(message_id, candidate, known):
            result.carried[name] = candidate
    for name in _REACHES.get(happening.type, ()):
        known_ms = result.first.get(name)
        if known_ms is None or time_ms < known_ms:
            result.first[name] = time_ms
    if happening.source == OURSELVES:
        if happening.type in _PASSES and happening.attempt > result.attempts:
            result.attempts = happening.attempt
        if kind.class_ in {1, 2} and not 0 < result.settled_ms <= time_ms:
            result.settled_ms = time_ms


def _key(happening: Happening, kind: Kind) -> tuple[int, int, int]:
    if kind.class_ <= 2:
        return (kind.class_, happening.attempt, kind.rank)
    if kind.class_ == 3:
        return (3, happening.time_ms, kind.rank)
    return (kind.class_, kind.rank, 0)


def _values(happening: Happening, kind: Kind) -> list[tuple[str, Any]]:
    """The fields that this event carries."""
    code = text = ""
    if kind.reason:
        code, text = happening.reason_code or kind.reason, happening.reason_text
    next_try = happening.next_try_at_ms if kind.state in {"deferred", "uncertain"} else 0
    values: list[tuple[str, Any]] = [("state", [kind.state, kind.bounce_type, str(code), text, next_try])]
    if happening.provider:
        values.append(("provider", happening.provider))
    if happening.external_id:
        values.append(("external_id", happening.external_id))
    if happening.detail:
        detail = happening.detail
        values += [(name, detail[name]) for name in _CARRIED_DETAIL if detail.get(name) is not None]
    return values


def _beats(message_id: str, new: Carried, old: Carried) -> bool:
    if new.key != old.key:
        return new.key > old.key
    if new.identity != old.identity:
        return _id(message_id, new) > _id(message_id, old)
    return (new.time_ms, repr(new.value)) < (old.time_ms, repr(old.value))


def _id(message_id: str, carried: Carried) -> str:
    return ids.event_id(message_id, *carried.identity.split("/", 2))


def _version(happening: Happening) -> tuple[int, bytes]:
    return happening.time_ms, msgspec.msgpack.encode(happening, order="deterministic")


def _order(happening: Happening) -> tuple[int, int, int, str]:
    kind = KINDS.get(happening.type)
    class_, rank = (kind.class_, kind.rank) if kind else (9, 0)
    return (happening.time_ms, class_, rank, happening.identity)


def _earliest(kept: dict[str, Happening]) -> list[Happening]:
    ordered = sorted(kept.values(), key=_order) if len(kept) > 1 else list(kept.values())
    if len(ordered) <= EVENTS_OF_A_TYPE:
        return ordered
    seen: dict[str, int] = {}
    result: list[Happening] = []
    for happening in ordered:
        seen[happening.type] = number = seen.get(happening.type, 0) + 1
        if number <= EVENTS_OF_A_TYPE:
            result.append(happening)
    return result
