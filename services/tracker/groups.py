"""What a group's answer says: the ledger of the queue and the counts of the records, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from morpheus_kit.queue.schema import SharedInfo
from services.tracker.ledger import Ledger
from services.tracker.states import WAITING_STATES
from services.tracker.store.base import GroupRow, Operation

_WINDOW_SECONDS = 60.0
_CONTROL_WORDS = {"paused": "paused", "resumed": "running", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class Progress:
    """waiting + sending + uncertain + ended = total."""

    waiting: int
    sending: int
    uncertain: int
    ended: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group as of one moment; times in milliseconds, 0 = not known."""

    shared: SharedInfo
    control: str
    reason: tuple[str, str]
    total: int
    progress: Progress
    counts: Mapping[str, int]
    percent: float
    rate: float
    eta_ms: int
    accepted_ms: int
    finished_ms: int
    as_of_ms: int
    pins: Mapping[str, str] = field(default_factory=dict)
    parts_in: int = 0
    operations: tuple[Operation, ...] = ()


def view_group(row: GroupRow | None, ledger: Ledger | None, as_of_ms: int, now_ms: int) -> GroupView | None:
    """None when neither knows the group. `row` must have been read before `ledger`: then no count exceeds the total."""
    if row is None and ledger is None:
        return None
    shared = ledger.shared if ledger is not None else _row(row).shared
    row = row or GroupRow(shared, 0, 0, 0)
    total = ledger.total if ledger is not None else row.total
    parts_in = ledger.parts_in if ledger is not None else row.parts_in
    counts = _counts(row, total)
    progress = _progress(ledger, counts)
    control, reason = _control(ledger, row)
    finished = _finished(row, total, parts_in, control)
    accepted_ms = row.accepted_ms or (ledger.accepted_ms if ledger is not None else 0)
    rate = _rate(row, max(accepted_ms, shared.send_at_ms), now_ms)
    running = control == "running" and not finished
    return GroupView(
        shared,
        "finished" if finished else control,
        reason,
        total,
        progress,
        counts,
        round(100 * progress.ended / total, 2) if total else 0.0,
        rate,
        now_ms + round(1000 * (total - progress.ended) / rate) if running and rate else 0,
        accepted_ms,
        row.settled_ms if finished else 0,
        as_of_ms,
        (ledger.pins if ledger is not None else {}) or row.template_versions,
        parts_in,
        row.operations,
    )


def is_over(row: GroupRow) -> bool:
    """True when the records alone say that it is finished, so that the ledger need not be asked."""
    return _finished(row, row.total, row.parts_in, _control(None, row)[0])


def _row(row: GroupRow | None) -> GroupRow:
    if row is None:
        raise ValueError("neither a record nor a ledger")
    return row


def _counts(row: GroupRow, total: int) -> dict[str, int]:
    """What is not yet recorded counts as queued."""
    counts = dict(row.counts)
    missing = total - sum(counts.values())
    if missing > 0:
        counts["queued"] = counts.get("queued", 0) + missing
    return counts


def _progress(ledger: Ledger | None, counts: Mapping[str, int]) -> Progress:
    """The ledger is exact; a group that left the queue had nothing under way any more."""
    if ledger is not None:
        return Progress(ledger.waiting, ledger.sending, ledger.uncertain, ledger.ended)
    waiting = sum(counts.get(state, 0) for state in WAITING_STATES)
    sending, uncertain = counts.get("sending", 0), counts.get("uncertain", 0)
    return Progress(waiting, sending, uncertain, sum(counts.values()) - waiting - sending - uncertain)


def _control(ledger: Ledger | None, row: GroupRow) -> tuple[str, tuple[str, str]]:
    if ledger is not None:
        return ledger.control, ledger.reason
    for operation in reversed(row.operations):
        if operation.type in _CONTROL_WORDS:
            return _CONTROL_WORDS[operation.type], (operation.reason_code, operation.reason_text)
    return "running", ("", "")


def _finished(row: GroupRow, total: int, parts_in: int, control: str) -> bool:
    """All parts are in (none comes any more to a cancelled group) and every document is settled."""
    all_in = parts_in >= row.shared.parts or control == "cancelled"
    return all_in and 0 < total <= row.settled


def _rate(row: GroupRow, start_ms: int, now_ms: int) -> float:
    """Messages a second over the last minute, or since the group may be sent where that is shorter."""
    seconds = min(_WINDOW_SECONDS, max(1.0, (now_ms - start_ms) / 1000))
    return round(row.ended_lately / seconds, 3)
