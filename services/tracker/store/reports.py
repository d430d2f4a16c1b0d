"""What record stores answer beside lists: statistics, costs, the feed of changes, kept inputs; the same on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from services.tracker.documents import Document

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
FEED_MS: Final = 30 * DAY_MS
"""How long changes are kept."""
MOST_TAGS: Final = 1_000
"""An answer by tag holds those with the most messages; of as many messages the first by name."""
MOST_ITEMS: Final = 10_000

CostKey: TypeAlias = Literal["company", "method", "tag", "day"]


class TooManyItemsError(Exception):
    """The answer would have more than `MOST_ITEMS` items."""


@dataclass(frozen=True, slots=True)
class StatisticsQuery:
    """Which messages, by acceptance time (half-open, whole hours), and how they are put together."""

    from_ms: int
    to_ms: int
    interval_ms: int
    """`HOUR_MS` or `DAY_MS`; buckets begin at whole ones of UTC."""
    by_method: bool = False
    by_tag: bool = False


@dataclass(slots=True)
class StatisticsItem:
    """Messages of one bucket; method and tag are empty where they were not asked for."""

    bucket_ms: int
    method: str
    tag: str
    counts: dict[str, int] = field(default_factory=dict)
    """Messages by state, without zeros."""
    reached: dict[str, int] = field(default_factory=dict)
    """Messages by milestone, without zeros."""


@dataclass(frozen=True, slots=True)
class CostQuery:
    """Which messages, by acceptance time (half-open, whole hours), and what their costs are summed by."""

    by: CostKey
    from_ms: int | None = None
    to_ms: int | None = None


class CostItem(NamedTuple):
    """Messages whose cost is known, of one currency; `key` of a day is `YYYY-MM-DD`."""

    key: str
    currency: str
    messages: int
    cost_micros: int


class FeedItem(NamedTuple):
    """Something that changed a message: its state, or a milestone reached for the first time."""

    cursor: str
    message_id: str
    group_id: str
    company_code: str
    type: str
    state: str
    """After it."""
    time_ms: int
    reason_code: str


class Reports(Protocol):
    """The questions. `company` is who asks; `*` sees all."""

    async def statistics(self, company: str, wanted: StatisticsQuery) -> list[StatisticsItem]:
        """By bucket, method, tag. TooManyItemsError."""
        ...

    async def costs(self, company: str, wanted: CostQuery) -> list[CostItem]:
        """By key, then currency. TooManyItemsError."""
        ...

    async def changes(self, company: str, after: str, limit: int) -> list[FeedItem]:
        """What was recorded after a cursor ("": the oldest that is kept), in that order. ValueError: no cursor.

        A writer that is slower than others is never passed: what this does not give, it gives to a later call.
        """
        ...

    async def details(self, company: str, message_ids: Sequence[str]) -> list[Document]:
        """Those of up to some hundred messages that `company` may see, with their bodies, in any order."""
        ...
