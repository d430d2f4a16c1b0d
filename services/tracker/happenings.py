"""An event as a document keeps it: without the message's reference, and without what must not be kept."""

from __future__ import annotations

from operator import lt

import msgspec

from morpheus_kit import ids
from morpheus_kit.queue.schema import Event
from morpheus_kit.queue.withholding import kept_detail
from services.tracker.states import KINDS

OURSELVES = "us"


class Happening(msgspec.Struct, array_like=True, frozen=True):
    """An event without the message's reference, as a document keeps it."""

    type: str
    attempt: int
    time_ms: int
    source: str = OURSELVES
    reason_code: str = ""
    reason_text: str = ""
    discriminator: str = ""
    provider: str = ""
    external_id: str = ""
    next_try_at_ms: int = 0
    detail: dict[str, str | int | float | bool | None] = {}
    undated: bool = False

    @property
    def identity(self) -> str:
        """What its id is made of: `us/<type>/<attempt>` or `<provider>/<type>/<time>/<discriminator>`.

        A provider that names no time tells the same event again at another time of ours: 0 stands for it.
        """
        if self.source == OURSELVES:
            return f"us/{self.type}/{self.attempt}"
        return f"{self.source}/{self.type}/{0 if self.undated else self.time_ms}/{self.discriminator}"


def happening_of(event: Event | Happening) -> Happening:
    """What of an event a document keeps."""
    if isinstance(event, Happening):
        return event
    return Happening(
        event.type,
        event.attempt,
        event.time_ms,
        event.source,
        event.reason_code,
        event.reason_text,
        event.discriminator,
        event.provider,
        event.external_id,
        event.next_try_at_ms,
        event.detail,
        event.undated,
    )


def kept_happening(event: Event | Happening) -> Happening:
    """An event without what may repeat contents that are withheld; the same one every time."""
    happening = happening_of(event)
    return msgspec.structs.replace(
        happening,
        reason_text="",
        discriminator=happening.discriminator if happening.source == OURSELVES else "",
        detail=kept_detail(happening.detail),
    )


def bare_happening(event: Event | Happening) -> Happening:
    """An event of an erased person's message: what happened when, and what it cost."""
    return msgspec.structs.replace(kept_happening(event), external_id="")


def event_id(message_id: str, identity: str) -> str:
    """The id of the event of a message that `identity` tells apart from its others."""
    source, type_, discriminator = identity.split("/", 2)
    return ids.event_id(message_id, source, type_, discriminator)


def in_order(happenings: list[Happening]) -> list[Happening]:
    """Oldest first. Most come so, each at a time of its own; then nothing more is compared."""
    times = [happening.time_ms for happening in happenings]
    return happenings if all(map(lt, times, times[1:])) else sorted(happenings, key=_order)


def _order(happening: Happening) -> tuple[int, int, int, str]:
    kind = KINDS.get(happening.type)
    class_, rank = (kind.class_, kind.rank) if kind else (9, 0)
    return (happening.time_ms, class_, rank, happening.identity)
