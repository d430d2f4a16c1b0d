"""A slice: messages of one part that go through rendering, gate and provider together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from morpheus_kit.queue.elements import Element
from morpheus_kit.queue.schema import NewerVersionError, unpack_message
from morpheus_kit.queue.scripts import Queue
from services.dispatcher.groups import Group
from services.dispatcher.results import Held
from services.dispatcher.routes import Route

# What one rendering request may carry, or one larger message.
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of messages, and the name under which we hold entries of it."""

    queue: Queue
    route: Route
    priority: str
    consumer: str

    @property
    def stream(self) -> tuple[str, str, str]:
        """Method, priority and consumer: what every script of a sender begins with."""
        return self.route.method, self.priority, self.consumer


@dataclass(frozen=True, slots=True)
class Slice:
    """Where the messages of a slice come from, go to, and what they share."""

    source: Source
    part: str
    group: Group
    via: Route | None = None
    """Another choice of the route, for messages that only its provider may get."""

    @property
    def route(self) -> Route:
        """Where they go."""
        return self.via or self.source.route


@dataclass(slots=True)
class Decoded:
    """Elements by what can be done with them."""

    held: list[Held] = field(default_factory=list)
    broken: list[tuple[str, Element]] = field(default_factory=list)
    """Never to be understood: dead letters."""
    newer: list[str] = field(default_factory=list)
    """Written by a newer release: left alone."""


def decode(entries: Sequence[tuple[str, Element]]) -> Decoded:
    """Unpacks the blobs of entries."""
    decoded = Decoded()
    for entry_id, element in entries:
        try:
            decoded.held.append(Held(entry_id, element, unpack_message(element.blob)))
        except NewerVersionError:
            decoded.newer.append(entry_id)
        except ValueError:
            decoded.broken.append((entry_id, element))
    return decoded


def split(held: Sequence[Held]) -> Iterator[list[Held]]:
    """Pieces that fit into one rendering request."""
    piece: list[Held] = []
    size = 0
    for each in held:
        if piece and size + len(each.element.blob) > MAX_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(each)
        size += len(each.element.blob)
    if piece:
        yield piece
