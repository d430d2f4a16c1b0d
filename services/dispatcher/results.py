"""From verdicts and rendered messages to what is committed: events, records, next elements. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.queue.elements import Element, pack_element
from morpheus_kit.queue.outcomes import pack_records
from morpheus_kit.queue.schema import AttachmentInfo, Event, MessageRecord, QueuedMessage, pack
from morpheus_kit.queue.scripts import CommitItem, RecoverItem, SendResult
from morpheus_kit.queue.withholding import kept_event, kept_record
from morpheus_kit.reasons import TEXTS, ReasonCode
from services.dispatcher.cost import without_cost
from services.dispatcher.groups import Group
from services.dispatcher.verdicts import Decision, Verdict


@dataclass(slots=True)
class Held:
    """One message that we hold; the later fields are filled in on its way."""

    entry_id: str
    element: Element
    message: QueuedMessage
    rendered: renderer_pb2.RenderedMessage | None = None
    payload: bytes = b""
    address: str = ""
    handed_over_ms: int = 0
    """When its provider was called: the time of what became of that, so that no receipt is told before it."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Its size and cost, `services.dispatcher.cost`."""
    unsubscribe_url: str = ""


def commit_item(
    held: Held, group: Group, decision: Decision, answer: Verdict, provider: str, now_ms: int, policy: str
) -> CommitItem:
    """What `decision` makes of a message after its provider answered."""
    reference = group.reference(held.message.id)
    attempt = held.element.attempt
    due_ms = now_ms + round(decision.wait_seconds * 1000) if decision.wait_seconds else 0
    event = Event(
        reference,
        decision.event_type,
        attempt,
        held.handed_over_ms or now_ms,
        "us",
        decision.reason or "",
        decision.text,
        "",
        provider,
        answer.external_id,
        due_ms,
        event_detail(held.detail, answer.detail, decision.result),
    )
    if held.message.withheld is not None:
        event = kept_event(event)
    if decision.result in {"sent", "failed"}:
        return CommitItem(held.entry_id, held.message.id, attempt, decision.result, pack(event))
    if decision.result == "uncertain":
        return CommitItem(
            held.entry_id,
            held.message.id,
            attempt,
            "uncertain",
            pack(event),
            due_ms,
            policy,
            _same_element(held.element, provider),
            _given_up(reference, attempt, now_ms, provider),
        )
    tries = held.element.tries + (decision.result == "retry")
    element = pack_element(
        held.message.id, held.element.blob, attempt=attempt + 1, tries=tries, provider=held.element.provider
    )
    return CommitItem(
        held.entry_id, held.message.id, attempt, decision.result, pack(event), due_ms or now_ms, "-", element
    )


def event_detail(own: Mapping[str, Any], told: Mapping[str, Any], result: SendResult) -> dict[str, Any]:
    """Size and cost of an attempt: what the provider tells of them is believed; nothing is paid for what it refused."""
    return {**own, **told} if result in {"sent", "uncertain"} else without_cost(own)


def rejection(held: Held, group: Group, code: str, text: str, now_ms: int) -> CommitItem:
    """A message that could not be made."""
    attempt = held.element.attempt
    if held.message.withheld is not None:
        text = ""  # what a template could not do may name the value
    event = Event(group.reference(held.message.id), "rejected", attempt, now_ms, "us", code, text)
    return CommitItem(held.entry_id, held.message.id, attempt, "rejected", pack(event))


def recovery(held: Held, group: Group, provider: str, now_ms: int, due_ms: int, policy: str) -> RecoverItem:
    """A message that a lost sender may have sent."""
    reference = group.reference(held.message.id)
    attempt = held.element.attempt
    code = ReasonCode.WORKER_LOST
    event = Event(reference, "uncertain", attempt, now_ms, "us", code, TEXTS[code], "", provider, "", due_ms)
    return RecoverItem(
        held.entry_id,
        held.message.id,
        attempt,
        due_ms,
        policy,
        _same_element(held.element, provider),
        pack(event),
        _given_up(reference, attempt, now_ms, provider),
    )


def records(batch: Sequence[Held], group: Group, *, reconstructed: bool = False) -> bytes:
    """The packed records of a batch; hashes attachments and compresses, so call it in a thread."""
    return pack_records([record(held, group, reconstructed=reconstructed) for held in batch])


def record(held: Held, group: Group, *, reconstructed: bool = False) -> MessageRecord:
    """What the tracker makes the message's document from."""
    shared = group.shared
    reference = group.reference(held.message.id)
    rendered = held.rendered
    if rendered is None or rendered.HasField("failure"):
        unrendered = MessageRecord(reference, shared.company_code, shared.group_id, held.element.blob)
        return kept_record(unrendered, held.message)
    whole = MessageRecord(
        reference,
        shared.company_code,
        shared.group_id,
        held.element.blob,
        True,
        rendered.subject,
        rendered.html,
        rendered.text,
        [
            AttachmentInfo(each.name, len(each.content), sha256(each.content).hexdigest())
            for each in rendered.attachments
        ],
        reconstructed,
        group.versions,
    )
    return kept_record(whole, held.message)


def _same_element(element: Element, provider: str) -> bytes:
    """The same, from now on only for the provider that may have it."""
    return pack_element(
        element.message_id, element.blob, attempt=element.attempt, tries=element.tries, provider=provider
    )


def _given_up(reference: str, attempt: int, now_ms: int, provider: str) -> bytes:
    code = ReasonCode.UNCERTAIN_GIVEN_UP
    return pack(Event(reference, "failed", attempt, now_ms, "us", code, TEXTS[code], "", provider))
