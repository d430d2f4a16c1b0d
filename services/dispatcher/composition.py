"""From rendered messages to what a provider is given. CPU work; call it in a thread for large batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from morpheus_kit.reasons import TEXTS, ReasonCode
from services.dispatcher import headers
from services.dispatcher.fields import FieldsComposer
from services.dispatcher.groups import Group
from services.dispatcher.mime import Attached, Composer, date_line
from services.dispatcher.providers.base import Form
from services.dispatcher.results import Held


class Rejected(NamedTuple):
    """A message that cannot be made, and why."""

    held: Held
    code: str
    text: str


def compose(
    batch: Sequence[Held], group: Group, now: datetime, form: Form = "mime"
) -> tuple[list[Held], list[Rejected]]:
    """Fills in payload and address of what was rendered; the rest is rejected. One `Date` for the batch."""
    date = date_line(now)
    ready: list[Held] = []
    rejected: list[Rejected] = []
    for held in batch:
        rendered = held.rendered
        if rendered is None:
            rejected.append(Rejected(held, ReasonCode.RENDER_FAILED, TEXTS[ReasonCode.RENDER_FAILED]))
        elif rendered.HasField("failure"):
            rejected.append(Rejected(held, rendered.failure.code, rendered.failure.text))
        elif "@" not in held.message.address:
            held.address = held.message.address
            held.payload = rendered.text.encode()
            ready.append(held)
        elif group.composer is None or group.fields is None:
            rejected.append(Rejected(held, ReasonCode.RENDER_FAILED, group.why_not or TEXTS[ReasonCode.RENDER_FAILED]))
        else:
            try:
                _email(held, group.fields if form == "fields" else group.composer, date)
            except headers.AddressError as exc:
                rejected.append(Rejected(held, ReasonCode.ADDRESS_INVALID, str(exc)))
            else:
                ready.append(held)
    return ready, rejected


def _email(held: Held, composer: Composer | FieldsComposer, date: bytes) -> None:
    message, rendered = held.message, held.rendered
    assert rendered is not None  # noqa: S101  checked by the caller
    name = f"{message.first_name} {message.last_name}".strip()
    held.address = headers.address_on_the_wire(message.address)
    attachments = [Attached(each.name, each.content_type, each.content) for each in rendered.attachments]
    if isinstance(composer, FieldsComposer):
        held.payload = composer.compose(
            message.id,
            name,
            held.address,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            attachments=attachments,
        )
        return
    held.payload = composer.compose(
        message.id,
        headers.mailbox(name, message.address),
        date,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        attachments=attachments,
    )
