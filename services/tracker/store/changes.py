"""What a batch says about each message, and what a document becomes by it: the same for every store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event, MessageRecord, NewerVersionError
from services.tracker.documents import Body, Head, made_of, record_rank, stripped_head
from services.tracker.fold import Step, fold, steps_of
from services.tracker.happenings import OURSELVES, Happening, bare_happening, happening_of, in_order, kept_happening
from services.tracker.store.base import Refusal

_ID_CHARS = 36
_NO_HEAD = Head()
"""Of a message of which nothing is known; never changed."""


class Change:
    """All that a batch says about one message."""

    __slots__ = ("error", "events", "record", "reference")

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.record: MessageRecord | None = None
        self.events: list[Event] = []
        self.error = ""
        """Why its record is kept stripped, whatever it holds."""


class Applied(NamedTuple):
    """A document after a change. Without `body` the record is as it was, and only events were folded in."""

    head: Head
    body: Body | None = None
    refusal: Refusal | None = None
    steps: Sequence[Step] = ()
    """What the feed of events tells about it; all of its past when its record has come now."""


def collect(outcome: Outcome) -> dict[str, Change]:
    """Records and events by message; of several records of one the best counts."""
    changes: dict[str, Change] = {}
    for record in outcome.messages:
        change = _change(changes, record.reference)
        if change.record is None or record_rank(record) > record_rank(change.record):
            change.record = record
    for event in outcome.events:
        _change(changes, event.reference).events.append(event)
    for reference, error in outcome.stripped.items():
        _change(changes, reference).error = error
    return changes


def apply(message_id: str, change: Change, old: Head | None, now_ms: int) -> Applied | None:
    """The document after `change`, `old` left as it is; None when nothing is new. NewerVersionError."""
    head = _NO_HEAD if old is None else old
    steps: list[Step] = []
    events = _events(change, head)
    is_past = not head.folded.events
    if is_past:
        events = in_order(events)
    folded = fold(message_id, head.folded, events, steps)
    record = change.record
    if record is not None and (rank := record_rank(record)) > head.record:
        new, body, refusal = _taken(record, rank, change.error, now_ms)
        if new.withheld and not head.withheld:
            # Events that came before their record are told again, now that it says what of them may be kept.
            folded = fold(message_id, None, map(kept_happening, folded.events))
        new.folded = folded
        return Applied(new, body, refusal, steps if is_past or head.record[0] else steps_of(message_id, folded))
    if old is not None and folded == head.folded:
        return None
    return Applied(msgspec.structs.replace(head, folded=folded), steps=steps)


def _events(change: Change, head: Head) -> list[Happening]:
    """As much of the events as the document may have.

    Of an erased person's message only what we ourselves still have to say of it, so that its group comes to its end.
    """
    if head.erased:
        settled = head.folded.settled_ms > 0
        return [] if settled else [bare_happening(each) for each in change.events if each.source == OURSELVES]
    keep = kept_happening if head.withheld else happening_of
    return [keep(event) for event in change.events]


def _taken(record: MessageRecord, rank: tuple[int, int], error: str, now_ms: int) -> tuple[Head, Body, Refusal | None]:
    if error:
        return stripped(record, error, now_ms)
    try:
        return (*made_of(record, rank), None)
    except NewerVersionError:
        raise
    except ValueError as exc:
        return stripped(record, str(exc), now_ms)


def stripped(record: MessageRecord, reason: str, now_ms: int) -> tuple[Head, Body, Refusal]:
    """What stands in the place of a record that cannot be kept."""
    refusal = Refusal(record, f"{record.reference}: {reason}")
    return stripped_head(record, now_ms, reason), Body(), refusal


def _change(changes: dict[str, Change], reference: str) -> Change:
    message_id = reference[-_ID_CHARS:]
    change = changes.get(message_id)
    if change is None:
        change = changes[message_id] = Change(reference)
    return change
