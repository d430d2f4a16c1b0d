"""Documents and groups as the messages of the protos."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.queue.schema import SharedInfo
from morpheus_kit.reasons import TEXTS, ReasonCode
from services.tracker.documents import Document
from services.tracker.groups import GroupView
from services.tracker.happenings import Happening, event_id
from services.tracker.states import STATES


def message_of(document: Document) -> pb.Message:
    """A list item, or with the document's body everything that is kept."""
    shared, head, folded = document.shared, document.head, document.head.folded
    cost, segments = folded.value("cost_micros"), folded.value("segments")
    message = pb.Message(
        id=document.id,
        group_id=shared.group_id,
        company_code=shared.company_code,
        method=shared.method,
        provider=folded.value("provider") or "",
        stream=shared.stream,
        state=folded.state,
        reason=reason_of(*folded.reason),
        address=head.address,
        first_name=head.first_name,
        last_name=head.last_name,
        user_link=head.user_link,
        subject=head.subject,
        tags=dict.fromkeys([*shared.tags, *head.tags]),
        external_id=folded.value("external_id") or "",
        cost_micros=int(cost) if cost is not None else None,
        cost_currency=folded.value("cost_currency") or "",
        segments=int(segments) if segments is not None else None,
        attempts=folded.attempts,
        bounce_type=folded.bounce_type,
        accepted_at=timestamp(head.accepted_at_ms),
        next_try_at=timestamp(folded.next_try_at_ms),
        sent_at=timestamp(folded.first.get("sent", 0)),
        delivered_at=timestamp(folded.first.get("delivered", 0)),
        opened_at=timestamp(folded.first.get("opened", 0)),
        clicked_at=timestamp(folded.first.get("clicked", 0)),
        bounced_at=timestamp(folded.first.get("bounced", 0)),
        complained_at=timestamp(folded.first.get("complained", 0)),
        unsubscribed_at=timestamp(folded.first.get("unsubscribed", 0)),
        resend_of=head.resend_of,
    )
    if document.body is not None:
        _add_detail(message, document)
    return message


def _add_detail(message: pb.Message, document: Document) -> None:
    body, queued = document.body, document.message
    if body is None:
        return
    message.text, message.html = body.text, body.html
    message.context = bytes(queued.context) if queued else b"\x80"
    for info in body.attachments:
        message.attachments.add(name=info.name, size=info.size, sha256=info.sha256)
    events = document.head.folded.events
    if not any(event.type == "queued" and event.attempt == 0 for event in events):
        events = [Happening("queued", 0, document.head.accepted_at_ms), *events]
    for event in events:
        message.events.add(
            id=event_id(document.id, event.identity),
            type=event.type,
            time=timestamp(event.time_ms),
            detail=_detail(event),
        )


def _detail(event: Happening) -> bytes:
    detail: dict[str, Any] = {"source": event.source}
    if event.attempt:
        detail["attempt"] = event.attempt
    if event.reason_code:
        detail["reason"] = {"code": event.reason_code, "text": event.reason_text or _text(event.reason_code)}
    for name in ("provider", "external_id"):
        if value := getattr(event, name):
            detail[name] = value
    if event.next_try_at_ms:
        detail["next_try_at"] = rfc3339(event.next_try_at_ms)
    return msgspec.msgpack.encode(detail | dict(event.detail))


def group_of(view: GroupView) -> pb.Group:
    """A group with its ledger and counts."""
    shared, progress = view.shared, view.progress
    return pb.Group(
        group_id=shared.group_id,
        company_code=shared.company_code,
        method=shared.method,
        stream=shared.stream,
        tags=shared.tags,
        control=view.control,
        reason=reason_of(*view.reason),
        total=view.total,
        progress=pb.Progress(
            waiting=progress.waiting, sending=progress.sending, uncertain=progress.uncertain, ended=progress.ended
        ),
        counts={state: view.counts.get(state, 0) for state in STATES},
        percent=view.percent,
        rate=view.rate,
        eta=timestamp(view.eta_ms),
        accepted_at=timestamp(view.accepted_ms),
        finished_at=timestamp(view.finished_ms),
        as_of=timestamp(view.as_of_ms),
        shared=_shared(shared, view.pins, view.parts_in),
        operations=[
            pb.Operation(type=each.type, key_id=each.key_id, time=timestamp(each.time_ms)) for each in view.operations
        ],
    )


def _shared(shared: SharedInfo, pins: Mapping[str, str], parts_in: int) -> bytes:
    """The rest of the shared information, by the names of the post."""
    return msgspec.msgpack.encode(
        {
            "inner_template": shared.inner_template,
            "outer_template": shared.outer_template or None,
            "subject_template": shared.subject_template or None,
            "template_versions": dict(pins),
            "context": shared.context,
            "from_address": shared.from_address,
            "reply_to": shared.reply_to or None,
            "headers": shared.headers,
            "priority": shared.priority,
            "send_at": rfc3339(shared.send_at_ms),
            "expires_at": rfc3339(shared.expires_at_ms),
            "missing_variables": shared.missing_variables,
            "on_uncertain": shared.on_uncertain or None,
            "record": "no_body" if shared.withheld == [] else "full",
            "redact": shared.withheld or [],
            "unsubscribe": shared.unsubscribe,
            "parts": shared.parts or None,
            "parts_in": parts_in,
        }
    )


def reason_of(code: str, text: str = "") -> pb.Reason | None:
    """None where there is no reason; without words of its own it has those of the table."""
    return pb.Reason(code=code, text=text or _text(code)) if code else None


def _text(code: str) -> str:
    return TEXTS[ReasonCode(code)] if code in ReasonCode.__members__.values() else ""


def timestamp(time_ms: int) -> Timestamp | None:
    """None for 0, which means that it is not known."""
    if not time_ms:
        return None
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def rfc3339(time_ms: int) -> str | None:
    """UTC with milliseconds; None for 0."""
    if not time_ms:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
