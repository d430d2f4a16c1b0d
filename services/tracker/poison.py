"""An entry that the store refuses whole, taken apart: a poisoned message takes nothing else with it."""

from __future__ import annotations

from typing import Final

from morpheus_kit import ids
from morpheus_kit.queue.outcomes import Outcome, pack_outcome
from morpheus_kit.queue.schema import Event, MessageRecord, pack, unpack_message
from morpheus_kit.queue.withholding import kept_record
from services.tracker.store.base import Refusal
from services.tracker.store.changes import collect

_LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
_LONGEST, _MOST_ATTEMPTS = 128, 1_000_000


def pieces(outcome: Outcome) -> list[Outcome]:
    """Each group and each message alone, groups first; together they say what `outcome` says."""
    groups: dict[str, Outcome] = {}
    for record in outcome.groups:
        uuid = ids.group_uuid(record.shared.company_code, record.shared.group_id)
        groups.setdefault(uuid, Outcome()).groups.append(record)
    for event in outcome.group_events:
        uuid = ids.group_uuid(event.company_code, event.group_id)
        groups.setdefault(uuid, Outcome()).group_events.append(event)
    messages: dict[str, Outcome] = {}
    for message in outcome.messages:
        messages.setdefault(message.reference, Outcome()).messages.append(message)
    for each in outcome.events:
        messages.setdefault(each.reference, Outcome()).events.append(each)
    return [*groups.values(), *messages.values()]


def strip(piece: Outcome, reason: str) -> Outcome:
    """Of one message what decides its state, and why there is no more: nothing that a store could refuse."""
    (change,) = collect(piece).values()
    records = [change.record] if change.record is not None else []
    return Outcome([], records, [_bare(event) for event in change.events], stripped={change.reference: reason})


def letter_of(piece: Outcome, reason: str, entry_id: bytes) -> dict[bytes, bytes]:
    """What `dead` keeps of a piece: an entry of its own, without what must not be kept."""
    kept = Outcome(piece.groups, [_kept(record) for record in piece.messages], piece.events, piece.group_events)
    return {**pack_outcome(kept), b"kind": b"outcome", b"reason": reason.encode(), b"entry": entry_id}


def letter_of_record(refusal: Refusal) -> dict[bytes, bytes]:
    """What `dead` keeps of a record that the store has stripped itself."""
    return {b"kind": b"record", b"reason": refusal.reason.encode(), b"record": pack(_kept(refusal.record))}


def _kept(record: MessageRecord) -> MessageRecord:
    try:
        message = unpack_message(record.blob)
    except ValueError:
        return record
    return kept_record(record, message)


def _bare(event: Event) -> Event:
    return Event(
        event.reference,
        event.type[:_LONGEST],
        max(0, min(event.attempt, _MOST_ATTEMPTS)),
        max(0, min(event.time_ms, _LATEST_MS)),
        event.source[:_LONGEST],
        event.reason_code[:_LONGEST],
        discriminator=event.discriminator[:_LONGEST],
        undated=event.undated,
    )
