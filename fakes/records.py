"""What a fake got: calls, messages, and the webhooks that it sent."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Message:
    """A message that the provider took: one for each recipient."""

    id: str
    address: str
    sender: str
    subject: str
    time: float
    content: dict[str, Any]
    """As it was posted, or for raw mail `{"raw": text}`."""
    metadata: dict[str, str] = field(default_factory=dict)
    state: str = "sent"
    events: list[str] = field(default_factory=list)
    """Steps that have happened to it, in order."""

    def as_json(self, *, brief: bool = False) -> dict[str, Any]:
        """What the API tells of it; `brief` leaves the content out."""
        told: dict[str, Any] = {
            "id": self.id,
            "address": self.address,
            "sender": self.sender,
            "subject": self.subject,
            "time": self.time,
            "metadata": self.metadata,
            "state": self.state,
            "events": self.events,
        }
        return told if brief else told | {"content": self.content}


@dataclass(slots=True)
class Call:
    """One request, or one SMTP transaction."""

    time: float
    method: str
    path: str
    addresses: list[str] = field(default_factory=list)
    status: int | None = None
    """None: no answer was given."""
    fault: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    duration_ms: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """What the API tells of it."""
        return {
            "time": self.time,
            "method": self.method,
            "path": self.path,
            "addresses": self.addresses,
            "status": self.status,
            "fault": self.fault,
            "headers": self.headers,
            "duration_ms": round(self.duration_ms, 1),
        }


@dataclass(slots=True)
class Delivery:
    """One post of a webhook. It is never repeated."""

    time: float
    url: str
    kinds: list[str]
    message_ids: list[str]
    status: int | None = None
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """What the API tells of it."""
        return {
            "time": self.time,
            "url": self.url,
            "kinds": self.kinds,
            "message_ids": self.message_ids,
            "status": self.status,
            "error": self.error,
        }


class Records:
    """The newest `keep` of each kind; the numbers count all."""

    def __init__(self, keep: int = 100_000, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.messages: deque[Message] = deque(maxlen=keep)
        self.calls: deque[Call] = deque(maxlen=keep)
        self.deliveries: deque[Delivery] = deque(maxlen=keep)
        self.counts = {"messages": 0, "calls": 0, "webhooks": 0}
        self._by_id: dict[str, Message] = {}

    def add_message(self, message: Message) -> None:
        """The provider has taken it."""
        if self.messages.maxlen == len(self.messages):
            self._by_id.pop(self.messages[0].id, None)
        self.messages.append(message)
        self._by_id[message.id] = message
        self.counts["messages"] += 1

    def add_call(self, call: Call) -> None:
        """A request has come in."""
        self.calls.append(call)
        self.counts["calls"] += 1

    def add_delivery(self, delivery: Delivery) -> None:
        """A webhook goes out."""
        self.deliveries.append(delivery)
        self.counts["webhooks"] += 1

    def message(self, message_id: str) -> Message | None:
        """By the provider's id."""
        return self._by_id.get(message_id)

    def find(self, *, address: str = "", metadata: dict[str, str] | None = None) -> Iterator[Message]:
        """Oldest first; of this address and with these metadata."""
        wanted = (metadata or {}).items()
        for message in self.messages:
            if (not address or message.address.lower() == address.lower()) and wanted <= message.metadata.items():
                yield message

    def clear(self) -> None:
        """As if nothing had come in."""
        self.messages.clear()
        self.calls.clear()
        self.deliveries.clear()
        self._by_id.clear()
        self.counts = dict.fromkeys(self.counts, 0)
