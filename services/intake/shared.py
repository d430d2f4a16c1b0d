"""Shared information: as it is queued, and the digest by which parts of a group agree."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit import wire
from morpheus_kit.queue.schema import VERSION, SharedInfo
from services.intake.addresses import parse_mailbox
from services.intake.header import time_ms, withheld_of
from services.intake.streams import TRANSACTIONAL, has_link, stream_of
from services.intake.texts import sender_of

_CONTEXT_DEPTH = 2
_canonical = msgspec.msgpack.Encoder(order="deterministic")
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


def context_of(header: GroupHeader) -> bytes:
    """The shared context: always one map. MalformedError, InvalidInputError."""
    context = header.context or wire.EMPTY_MAP
    if context != wire.EMPTY_MAP:
        if len(context) > wire.MAX_SHARED_BYTES:
            raise wire.too_large("context")
        wire.check_context(context, "context", _CONTEXT_DEPTH)
    return context


def shared_digest(header: GroupHeader, context: bytes) -> str:
    """Equal for headers that mean the same, however a library has ordered or written them; hex."""
    values: list[Any] = [
        header.group_id,
        header.company_code,
        header.parts if header.HasField("parts") else None,
        header.method,
        header.outer_template if header.HasField("outer_template") else None,
        header.inner_template,
        header.subject_template,
        _decode(context),
        header.from_address,
        header.reply_to if header.HasField("reply_to") else None,
        list(header.tags),
        dict(header.headers),
        header.priority or "normal",
        time_ms(header, "send_at"),
        time_ms(header, "expires_at"),
        header.missing_variables or "error",
        header.on_uncertain if header.HasField("on_uncertain") else None,
    ]
    if header.HasField("subaccount"):
        values.append(header.subaccount)
    if header.HasField("country_code"):
        values.append(["country_code", header.country_code])
    if (withheld := withheld_of(header)) is not None:
        values.append(["withheld", *withheld])
    if has_link(header) or stream_of(header) != TRANSACTIONAL:
        values.append(["stream", stream_of(header), has_link(header)])
    return hashlib.sha256(_canonical.encode(values)).hexdigest()


def shared_info(header: GroupHeader, context: bytes, provider_method: str, reference: str) -> SharedInfo:
    """What is queued once for the group."""
    return SharedInfo(
        version=VERSION,
        company_code=header.company_code,
        group_id=header.group_id,
        method=header.method,
        provider_method=provider_method,
        inner_template=header.inner_template,
        outer_template=header.outer_template,
        subject_template=header.subject_template,
        context=msgspec.Raw(context),
        from_address=_mailbox(header.from_address) or _sender(header),
        reply_to=_mailbox(header.reply_to),
        tags=list(header.tags),
        headers=dict(header.headers),
        priority=header.priority or "normal",
        send_at_ms=time_ms(header, "send_at"),
        expires_at_ms=time_ms(header, "expires_at"),
        missing_variables=header.missing_variables or "error",
        on_uncertain=header.on_uncertain,
        parts=header.parts,
        reference_prefix=reference,
        subaccount=header.subaccount,
        withheld=withheld_of(header),
        stream=stream_of(header),
        unsubscribe=has_link(header),
    )


def _sender(header: GroupHeader) -> str:
    found = sender_of(header)
    return found[1] if found else ""


def _mailbox(text: str) -> str:
    found = parse_mailbox(text)
    return found.unmistakable() if found else ""
