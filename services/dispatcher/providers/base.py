"""What a provider is to the sender: a batch in, a verdict for each out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import msgspec

from morpheus_kit.queue.schema import Event
from services.dispatcher.verdicts import Verdict

Form = Literal["mime", "fields"]


class Outgoing(msgspec.Struct, frozen=True):
    """One message that passed the gate."""

    message_id: str
    attempt: int
    reference: str
    partition: int
    address: str
    """As on the wire: A-labels, or a number."""
    sender: str
    """Address of the group's from_address, as on the wire."""
    payload: bytes
    """The email in the form that the provider takes, or the text of an SMS."""


@dataclass(frozen=True, slots=True)
class ProviderReceipt:
    """An event that a provider tells in this process, without a webhook; `event` is not yet packed."""

    partition: int
    message_id: str
    event: Event


class Provider(Protocol):
    """One way out. `send` raises nothing: every error is a verdict."""

    name: str
    form: Form
    """How it takes an email: composed, or as the fields of `services.dispatcher.fields`."""
    concurrency: int
    """Messages that can be started at the same time, over all senders."""
    takes_key: bool
    """Whether the same message sent again soon is answered as before, and not sent twice."""

    async def start(self) -> None:
        """Ready to send."""
        ...

    async def stop(self) -> None:
        """Nothing is under way any more; closes connections."""
        ...

    async def send(self, batch: Sequence[Outgoing]) -> list[Verdict]:
        """One verdict for each, in order; at most `concurrency` messages."""
        ...


@runtime_checkable
class CanLookUp(Protocol):
    """A provider that can be asked for a message."""

    name: str

    async def look_up(self, message: Outgoing) -> Verdict | None:
        """What became of it; None: nothing is known."""
        ...
