"""What comes for a month that is not kept any more is counted and dropped: the same for every store."""

from __future__ import annotations

from morpheus_kit import logs
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.retention import Retention, first_kept

log = logs.get_logger(__name__)

_MONTH = 6


def kept(outcome: Outcome, retention: Retention, now_ms: int) -> Outcome:
    """`outcome` without what is over; nearly always itself."""
    edge = first_kept(retention.shortest_s, now_ms)
    groups = {record.shared.reference_prefix[:_MONTH] for record in outcome.groups}
    told = {event.reference_prefix[:_MONTH] for event in outcome.group_events}
    messages = {each.reference[:_MONTH] for each in outcome.messages} | {
        each.reference[:_MONTH] for each in outcome.events
    }
    if not any("" < month < edge for month in groups | told | messages):
        return outcome
    # Of an event alone nobody knows the company: it is dropped when no company has its month any more.
    last = first_kept(retention.longest_s, now_ms)

    def stays(company: str, reference: str) -> bool:
        month = reference[:_MONTH]
        return not month or not retention.is_over(company, month, now_ms)

    result = Outcome(
        [each for each in outcome.groups if stays(each.shared.company_code, each.shared.reference_prefix)],
        [each for each in outcome.messages if stays(each.company_code, each.reference)],
        [each for each in outcome.events if each.reference[:_MONTH] >= last],
        [each for each in outcome.group_events if stays(each.company_code, each.reference_prefix)],
        outcome.stripped,
    )
    dropped = {name: len(getattr(outcome, name)) - len(getattr(result, name)) for name in _PARTS}
    log.info("outcomes_past_retention", **dropped)
    return result


_PARTS = ("groups", "messages", "events", "group_events")
