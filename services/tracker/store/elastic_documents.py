"""Documents as Elasticsearch keeps them: what is found, sorted or summed as fields, the large rest packed."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from threading import local
from typing import Any, Final, NamedTuple

import msgspec
import zstandard

from morpheus_kit import ids
from morpheus_kit.addresses import normalise_address
from morpheus_kit.queue.schema import MessageRecord, SharedInfo, pack, unpack_shared
from services.tracker.documents import Body, Head, erased_head, place_of, searchable
from services.tracker.fold import Folded
from services.tracker.store.base import Operation
from services.tracker.store.changes import Applied
from services.tracker.store.elastic_mappings import MILESTONES
from services.tracker.store.tallies import tally_of
from services.tracker.words import distinct_words

_CARRIED: Final = ("provider", "external_id", "response", "cost_micros", "cost_currency", "segments")
_TIMES: Final = [(name, f"{name}_at") for name in MILESTONES]

Source = Mapping[str, Any]
Fields = dict[str, Any]

_BODY_LEVEL: Final = 1
_INPUT_LEVEL: Final = -1
"""Most are some hundred bytes: a third of the time for a twentieth more of space."""
_encoder = msgspec.msgpack.Encoder()
_folded = msgspec.msgpack.Decoder(Folded)
_body = msgspec.msgpack.Decoder(Body)

READ_FOR_WRITE = ["fold", "record", "recipient_tags", "company_code", "group_id", "owner", "withheld"]
LARGE = ["words", "body", "input", "template_versions"]
"""What lists do not read."""


class GroupDocument(NamedTuple):
    """A group as it is written: all that is known of it, each item once. Without `shared` nobody sees it."""

    shared: SharedInfo | None
    accepted_ms: int = 0
    parts: tuple[tuple[int, int, int, str], ...] = ()
    """Part, total, acceptance time in milliseconds, key id."""
    operations: tuple[Operation, ...] = ()
    template_versions: Mapping[str, str] = {}
    versions_ms: int = 0
    has_orphans: bool = False
    """Messages may have been written before it; they are adopted when its record comes."""


def folded_fields(folded: Folded) -> Fields:
    """All that follows from events. None takes a value away that an event before it had given."""
    code, text = folded.reason
    fields: Fields = {
        "fold": _encoder.encode(folded),
        "tally": str(tally_of(folded)),
        "state": folded.state,
        "bounce_type": folded.bounce_type or None,
        "reason": code or None,
        "reason_text": text or None,
        "next_try_at": folded.next_try_at_ms or None,
        "settled_at": folded.settled_ms or None,
        "attempts": folded.attempts,
    }
    for name in _CARRIED:
        fields[name] = folded.value(name)
    for name, field in _TIMES:
        fields[field] = folded.first.get(name)
    return fields


def bare_fields(folded: Folded) -> Fields:
    """As little as keeps the message in its counts."""
    fields = folded_fields(folded)
    return {name: fields[name] for name in ("fold", "tally", "state", "settled_at")}


def record_fields(record: MessageRecord, applied: Applied) -> Fields:
    """All that follows from a record."""
    head, body = applied.head, applied.body or Body()
    return {
        "relation": {"name": "message", "parent": ids.group_uuid(record.company_code, record.group_id)},
        "accepted_at": head.accepted_at_ms,
        "place": place_of(record.reference, head.part, head.index),
        "record": head.record,
        "record_error": head.error or None,
        "part": head.part,
        "index": head.index,
        "address": head.address or None,
        "address_normalised": normalise_address(head.address) if head.address else None,
        "first_name": head.first_name or None,
        "last_name": head.last_name or None,
        "user_link": head.user_link or None,
        "subject": head.subject or None,
        "recipient_tags": head.tags,
        "input": _compressors.input.compress(body.blob) if body.blob else None,
        "body": _compressors.body.compress(
            _encoder.encode(msgspec.structs.replace(body, blob=b"", template_versions={}))
        ),
        "template_versions": {"items": list(body.template_versions.items())},
        "words": distinct_words(searchable(head, body.text)),
        "withheld": head.withheld or None,
        "of_company": record.company_code,
    }


def erased_fields(message_id: str, head: Head, shared: SharedInfo | None) -> Fields:
    """What takes the place of an erased person's message; `head` as `head_for_write` reads it."""
    left = erased_head(message_id, head)
    nothing = dict.fromkeys(_PERSONAL)
    tags = {} if shared is None else {"tags": list(dict.fromkeys(shared.tags))}
    return {
        **folded_fields(left.folded),
        **nothing,
        **tags,
        "recipient_tags": [],
        "record": left.record,
        "erased": True,
    }


_PERSONAL = (
    *("address", "address_normalised", "first_name", "last_name", "user_link", "subject", "input", "body", "words"),
    "record_error",
)


def shared_fields(shared: SharedInfo, own_tags: Sequence[str]) -> Fields:
    """What makes a message visible, and what it has from its group."""
    return {
        "company_code": shared.company_code,
        "group_id": shared.group_id,
        "method": shared.method,
        "stream": shared.stream,
        "tags": list(dict.fromkeys([*shared.tags, *own_tags])),
    }


class _Compressors(local):
    """They are dear to make and belong to one thread."""

    def __init__(self) -> None:
        self.body = zstandard.ZstdCompressor(level=_BODY_LEVEL)
        self.input = zstandard.ZstdCompressor(level=_INPUT_LEVEL)


_compressors = _Compressors()


def head_for_write(source: Source) -> Head:
    """As much of the head as folding needs."""
    return Head(
        record=_rank(source),
        tags=source.get("recipient_tags") or [],
        folded=folded_of(source),
        withheld=bool(source.get("withheld")),
    )


def head_of_source(source: Source) -> Head:
    """The inverse of `record_fields` and `folded_fields`."""
    return Head(
        record=_rank(source),
        accepted_at_ms=source["accepted_at"],
        address=source.get("address") or "",
        first_name=source.get("first_name") or "",
        last_name=source.get("last_name") or "",
        user_link=source.get("user_link") or "",
        subject=source.get("subject") or "",
        tags=source.get("recipient_tags") or [],
        part=source.get("part") or 0,
        index=source.get("index") or 0,
        error=source.get("record_error") or "",
        folded=folded_of(source),
        withheld=bool(source.get("withheld")),
    )


def body_of_source(source: Source) -> Body | None:
    """The body with its input; None where neither is kept."""
    if not source.get("body"):
        return None
    unpack = zstandard.ZstdDecompressor().decompress
    blob = unpack(b64decode(source["input"])) if source.get("input") else b""
    versions = dict((source.get("template_versions") or {}).get("items", ()))
    return msgspec.structs.replace(
        _body.decode(unpack(b64decode(source["body"]))), blob=blob, template_versions=versions
    )


def group_fields(uuid: str, group: GroupDocument) -> Fields:
    """A group's document."""
    shared = group.shared
    visible = {} if shared is None else {**shared_fields(shared, ()), "shared": pack(shared), "place": uuid}
    return {
        "relation": {"name": "group"},
        "accepted_at": group.accepted_ms or None,
        "parts": [dict(zip(_PART, part, strict=True)) for part in group.parts],
        "operations": [each._asdict() for each in group.operations],
        "template_versions": {"time_ms": group.versions_ms, "items": list(group.template_versions.items())},
        "has_orphans": group.has_orphans,
        **visible,
    }


def group_of_source(source: Source) -> GroupDocument:
    """The inverse of `group_fields`."""
    versions = source.get("template_versions") or {"time_ms": 0, "items": []}
    return GroupDocument(
        unpack_shared(b64decode(source["shared"])) if source.get("shared") else None,
        source.get("accepted_at") or 0,
        tuple((part["part"], part["total"], part["accepted_ms"], part["key_id"]) for part in source.get("parts", ())),
        tuple(Operation(**each) for each in source.get("operations", ())),
        dict(versions["items"]),
        versions["time_ms"],
        bool(source.get("has_orphans")),
    )


_PART = ("part", "total", "accepted_ms", "key_id")


def _rank(source: Source) -> tuple[int, int]:
    rank, digest = source.get("record") or (0, 0)
    return rank, digest


def folded_of(source: Source) -> Folded:
    return _folded.decode(b64decode(source["fold"])) if source.get("fold") else Folded()
