"""Protobuf to the JSON of `docs/http-api.md`: `snake_case`, times RFC 3339 UTC, money as amount and currency."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from fastapi.responses import Response
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.dispatcher.v1 import dispatcher_pb2
from morpheus.intake.v1 import intake_pb2
from morpheus.tracker.v1 import tracker_pb2

from morpheus_kit.reasons import docs_link

STATES = (
    "queued",
    "sending",
    "deferred",
    "uncertain",
    "rejected",
    "expired",
    "cancelled",
    "failed",
    "sent",
    "bounced",
    "delivered",
    "opened",
    "clicked",
    "unsubscribed",
    "complained",
)
_MILESTONES = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
RATES = ("delivered", "bounced", "opened", "clicked", "complained", "unsubscribed")
_decode = msgspec.msgpack.Decoder().decode
encode = msgspec.json.Encoder().encode


def json_response(content: Any, status: int = 200) -> Response:
    """JSON by the fast encoder."""
    return Response(encode(content), status, media_type="application/json")


def group(message: tracker_pb2.Group) -> dict[str, Any]:
    """A group: its own fields first, then the shared information."""
    body: dict[str, Any] = {
        "group_id": message.group_id,
        "company_code": message.company_code,
        "method": message.method,
        "stream": message.stream,
        "tags": list(message.tags),
        "control": message.control,
        "reason": _reason(message.reason),
        "total": message.total,
        "progress": {name: getattr(message.progress, name) for name in ("waiting", "sending", "uncertain", "ended")},
        "counts": {**dict.fromkeys(STATES, 0), **dict(message.counts)},
        "percent": message.percent,
        "rate": message.rate,
        "eta": time_of(message, "eta"),
        "accepted_at": time_of(message, "accepted_at"),
        "finished_at": time_of(message, "finished_at"),
        "as_of": time_of(message, "as_of"),
        "operations": [
            {"type": item.type, "key_id": item.key_id, "time": time_of(item, "time")} for item in message.operations
        ],
    }
    shared = _decode(message.shared) if message.shared else {}
    return {**body, **{name: value for name, value in shared.items() if name not in body}}


def message_item(message: tracker_pb2.Message) -> dict[str, Any]:
    """A message in a list: everything but bodies, context, attachments and events."""
    return _message(message, detail=False)


def message_detail(message: tracker_pb2.Message) -> dict[str, Any]:
    """A message with all that is kept of it."""
    return _message(message, detail=True)


def suppression(message: tracker_pb2.Suppression) -> dict[str, Any]:
    """An address that nothing goes to; null once the person was erased, the stream null where it is every one."""
    return {
        "address": message.address or None,
        "stream": message.stream or None,
        "reason": message.reason,
        "time": time_of(message, "time"),
    }


def _message(message: tracker_pb2.Message, *, detail: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": message.id,
        "group_id": message.group_id,
        "company_code": message.company_code,
        "method": message.method,
        "provider": message.provider or None,
        "stream": message.stream,
        "state": message.state,
        "reason": _reason(message.reason),
        "address": message.address,
        "first_name": message.first_name,
        "last_name": message.last_name,
        "user_link": message.user_link,
        "subject": message.subject,
        "tags": list(message.tags),
        "external_id": message.external_id or None,
        "cost": _cost(message),
        "segments": message.segments if message.HasField("segments") else None,
        "attempts": message.attempts,
        "bounce_type": message.bounce_type or None,
        "accepted_at": time_of(message, "accepted_at"),
    }
    body |= {f"{name}_at": time_of(message, f"{name}_at") for name in _MILESTONES}
    body |= {"resend_of": message.resend_of or None, "next_try_at": time_of(message, "next_try_at")}
    return body | _detail(message) if detail else body


def _detail(message: tracker_pb2.Message) -> dict[str, Any]:
    return {
        "text": message.text,
        "html": message.html,
        "context": _decode(message.context) if message.context else {},
        "attachments": [{"name": item.name, "size": item.size, "sha256": item.sha256} for item in message.attachments],
        "events": [
            {
                "id": item.id,
                "type": item.type,
                "time": time_of(item, "time"),
                "detail": _decode(item.detail) if item.detail else {},
            }
            for item in message.events
        ],
    }


def provider(message: dispatcher_pb2.Provider) -> dict[str, Any]:
    """A provider as it stands."""
    return {
        "name": message.name,
        "state": message.state,
        "reason": _coded(message.reason_code, message.reason_text),
        "rate": round(message.rate, 3),
    }


def _reason(reason: tracker_pb2.Reason) -> dict[str, str] | None:
    return _coded(reason.code, reason.text)


def _coded(code: str, text: str) -> dict[str, str] | None:
    return {"code": code, "text": text, "docs": docs_link(code)} if code else None


def _cost(message: tracker_pb2.Message) -> dict[str, str] | None:
    if not message.HasField("cost_micros"):
        return None
    return _money(message.cost_micros, message.cost_currency)


def _money(micros: int, currency: str) -> dict[str, str]:
    return {"amount": f"{(Decimal(micros) / 1_000_000).normalize():f}", "currency": currency}


def preview(reply: intake_pb2.PreviewGroupResponse) -> dict[str, Any]:
    """What would become of a post."""
    priced = reply.HasField("cost_micros")
    return {
        "errors": [{"index": each.index, "reason": _coded(each.code, each.text)} for each in reply.errors],
        "segments": reply.segments,
        "cost": _money(reply.cost_micros, reply.cost_currency) if priced else None,
        "warnings": [
            {"code": each.code, "text": each.text, "count": each.count, "index": each.index} for each in reply.warnings
        ],
        "samples": [
            {
                "index": each.index,
                "subject": each.subject,
                "html": each.html,
                "text": each.text,
                "attachments": [{"name": item.name, "size": item.size} for item in each.attachments],
            }
            for each in reply.samples
        ],
    }


def statistics(item: tracker_pb2.Statistics) -> dict[str, Any]:
    """A bucket's counts and rates; method and tag only where they were asked for."""
    names = {name: value for name in ("method", "tag") if (value := getattr(item, name))}
    known = {field.name: value for field, value in item.rates.ListFields()}
    rates = {name: known.get(name) for name in RATES}
    counts = {**dict.fromkeys(STATES, 0), **dict(item.counts)}
    return {"bucket": time_of(item, "bucket"), **names, "total": item.total, "counts": counts, "rates": rates}


def cost(item: tracker_pb2.Cost) -> dict[str, Any]:
    """What the messages of one key cost."""
    return {"key": item.key, "messages": item.messages, "cost": _money(item.cost_micros, item.currency)}


def feed_event(item: tracker_pb2.FeedEvent) -> dict[str, Any]:
    """Something that changed a message."""
    return {
        "cursor": item.cursor,
        "message_id": item.message_id,
        "group_id": item.group_id,
        "company_code": item.company_code,
        "type": item.type,
        "state": item.state,
        "time": time_of(item, "time"),
        "reason": _reason(item.reason),
    }


def time_of(message: ProtoMessage, name: str) -> datetime | None:
    """A time field; None where it is not set."""
    if not message.HasField(name):
        return None
    stamp: Timestamp = getattr(message, name)
    return stamp.ToDatetime(UTC)
