"""From rendered messages to what a provider is given. CPU work; call it in a thread for large batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from morpheus_kit.reasons import TEXTS, ReasonCode
from services.dispatcher import headers
from services.dispatcher.cost import Costing
from services.dispatcher.fields import FieldsComposer
from services.dispatcher.groups import Group
from services.dispatcher.mime import Attached, Composer, date_line
from services.dispatcher.providers.base import Provider
from services.dispatcher.results import Held


class Rejected(NamedTuple):
    """A message that cannot be made, and why."""

    held: Held
    code: str
    text: str


def compose(
    batch: Sequence[Held], group: Group, now: datetime, provider: Provider, costing: Costing
) -> tuple[list[Held], list[Rejected]]:
    """Fills in payload, address and cost of what was rendered; the rest is rejected. One `Date` for the batch."""
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
            if _text(held, costing):
                ready.append(held)
            else:
                rejected.append(Rejected(held, ReasonCode.RENDER_FAILED, "the text is empty"))
        elif group.composer is None or group.fields is None:
            rejected.append(Rejected(held, ReasonCode.RENDER_FAILED, group.why_not or TEXTS[ReasonCode.RENDER_FAILED]))
        else:
            try:
                _email(held, group.fields if provider.form == "fields" else group.composer, date)
            except headers.AddressError as exc:
                rejected.append(Rejected(held, ReasonCode.ADDRESS_INVALID, str(exc)))
            else:
                held.detail = costing.of_email(provider.name)
                ready.append(held)
    return ready, rejected


def _text(held: Held, costing: Costing) -> bool:
    """Of a text message; the record keeps what goes out. False when there is nothing to send."""
    rendered = held.rendered
    assert rendered is not None  # noqa: S101  checked by the caller
    rendered.text = costing.text(rendered.text)
    held.address = held.message.address
    held.payload = rendered.text.encode()
    if held.payload:
        held.detail = costing.of_sms(held.address, rendered.text)
    return bool(held.payload)


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
            unsubscribe_url=held.unsubscribe_url,
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
        unsubscribe_url=held.unsubscribe_url,
    )
