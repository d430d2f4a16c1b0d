"""The interface of record stores; a query means the same on each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from morpheus_kit import ids
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import MessageRecord, SharedInfo
from services.tracker.documents import Document
from services.tracker.store.privacy import PrivacyStore
from services.tracker.store.reports import Reports

EVERYONE = "*"
STARTED = "started"
"""The event of a group that says with which versions of its templates it goes on."""


class StoreDownError(Exception):
    """The store cannot write or read now; the same call may succeed later."""


class Refusal(NamedTuple):
    """A record of which only ids and events could be kept, and why."""

    record: MessageRecord
    reason: str


class Written(NamedTuple):
    """What came of a write."""

    refused: list[Refusal]
    """The records that could only be kept stripped."""
    unwelcome: list[str]
    """References of those of its messages that are now in a state of `SUPPRESSED_STATES`, also when nothing was new."""


class Operation(NamedTuple):
    """Something that an operator did to a group."""

    type: str
    key_id: str
    time_ms: int
    reason_code: str = ""
    reason_text: str = ""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as the store knows it."""

    shared: SharedInfo
    accepted_ms: int
    total: int
    parts_in: int
    counts: dict[str, int] = field(default_factory=dict)
    """Recorded messages by state."""
    settled: int = 0
    settled_ms: int = 0
    """When the last one so far was settled."""
    ended_lately: int = 0
    """Settled within the last minute."""
    operations: tuple[Operation, ...] = ()
    template_versions: dict[str, str] = field(default_factory=dict)
    """Template to the version that the group was started with last."""

    @property
    def uuid(self) -> str:
        """The id of the group's document."""
        return ids.group_uuid(self.shared.company_code, self.shared.group_id)


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups; empty fields do not restrict. Times are half-open, in milliseconds."""

    tag: str = ""
    method: str = ""
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; empty fields do not restrict. `words` are folded, the last one is a prefix."""

    words: tuple[str, ...] = ()
    group_id: str = ""
    tags: tuple[str, ...] = ()
    state: str = ""
    reason: str = ""
    method: str = ""
    stream: str = ""
    address: str = ""
    external_id: str = ""
    from_ms: int | None = None
    to_ms: int | None = None


class Position(NamedTuple):
    """The last item of a page: acceptance time, then its place among those of that time; both descending.

    The place is that of a message, or the id of a group.
    """

    accepted_ms: int
    place: str


class RecordStore(Reports, PrivacyStore, Protocol):
    """Keeps documents. `company` in every question is who asks; `*` sees all."""

    exclusive: bool
    """True: no other process can have it open, so what others left unfinished is ours at once."""

    lag_ms: int
    """How long after a write its effect is seen by every question, at the most."""

    async def start(self) -> None:
        """Opens it, with its schema up to date."""
        ...

    async def stop(self) -> None:
        """Closes it; what is being written is finished."""
        ...

    async def write(self, outcome: Outcome) -> Written:
        """Reads, folds and writes; any number of times, also after a part of it, with the same result.

        StoreDownError when it is not written and the same call may succeed later; any other exception means
        that it never will.
        """
        ...

    async def drop_over(self, limit: int) -> int:
        """Deletes some of what is not kept any more, `limit` documents at most or a whole month; 0: nothing is left."""
        ...

    async def group(self, company: str, group_id: str) -> GroupRow | None:
        """One group, or None when there is none that `company` may see."""
        ...

    async def groups(self, company: str, wanted: GroupFilter, after: Position | None, limit: int) -> list[GroupRow]:
        """Groups, newest first."""
        ...

    async def messages(self, company: str, wanted: MessageFilter, after: Position | None, limit: int) -> list[Document]:
        """Messages without bodies, newest first."""
        ...

    async def message(self, company: str, message_id: str) -> Document | None:
        """One message with its body, or None when there is none that `company` may see."""
        ...
