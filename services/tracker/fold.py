"""The fold: what a message's document says, as one pure function of its events.

Commutative, associative and idempotent: early, late, repeated and reordered events give the same
result. Every field comes from the event with the largest key that carries it; equal keys are
decided by event id, and of two versions of one event the earlier counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from morpheus_kit.queue.schema import Event
from services.tracker.happenings import OURSELVES, Happening, event_id, happening_of, in_order
from services.tracker.states import KINDS, PASSES, REACHES, Kind

EVENTS_OF_A_TYPE = 50
_CARRIED_DETAIL = ("cost_micros", "cost_currency", "segments", "queued_reason", "response")


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
        happening = happening_of(event)
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
            now = result.carried["state"]
            if steps is not None and (now is not before or len(result.first) != reached):
                steps.append(Step(happening.type, now.value[0], happening.time_ms, now.value[2]))
    result.events = _earliest(list(kept.values()))
    return result


def steps_of(message_id: str, folded: Folded) -> list[Step]:
    """The steps of everything that has happened so far, oldest first."""
    steps: list[Step] = []
    fold(message_id, None, folded.events, steps)
    return steps


def _apply(message_id: str, result: Folded, happening: Happening, kind: Kind, identity: str) -> None:
    key, time_ms, carried = _key(happening, kind), happening.time_ms, result.carried
    for name, value in _values(happening, kind):
        known = carried.get(name)
        candidate = Carried(key, identity, time_ms, value)
        if known is None or _beats(message_id, candidate, known):
            carried[name] = candidate
    for name in REACHES.get(happening.type, ()):
        known_ms = result.first.get(name)
        if known_ms is None or time_ms < known_ms:
            result.first[name] = time_ms
    if happening.source == OURSELVES:
        if happening.type in PASSES and happening.attempt > result.attempts:
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
    if detail := happening.detail:
        values += [(name, detail[name]) for name in _CARRIED_DETAIL if detail.get(name) is not None]
    return values


def _beats(message_id: str, new: Carried, old: Carried) -> bool:
    if new.key != old.key:
        return new.key > old.key
    if new.identity != old.identity:
        return event_id(message_id, new.identity) > event_id(message_id, old.identity)
    return (new.time_ms, repr(new.value)) < (old.time_ms, repr(old.value))


def _version(happening: Happening) -> tuple[int, bytes]:
    return happening.time_ms, msgspec.msgpack.encode(happening, order="deterministic")


def _earliest(happenings: list[Happening]) -> list[Happening]:
    ordered = in_order(happenings)
    if len(ordered) <= EVENTS_OF_A_TYPE:
        return ordered
    seen: dict[str, int] = {}
    result: list[Happening] = []
    for happening in ordered:
        seen[happening.type] = number = seen.get(happening.type, 0) + 1
        if number <= EVENTS_OF_A_TYPE:
            result.append(happening)
    return result
