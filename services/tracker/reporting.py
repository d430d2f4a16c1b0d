"""Statistics, costs and the feed of changes: what may be asked, and the answers put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import get_args

from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.clock import Clock
from morpheus_kit.errors import InvalidInputError, UnavailableError
from services.tracker.answers import reason_of, timestamp
from services.tracker.filters import company_of, time_range
from services.tracker.states import STATES
from services.tracker.store.base import StoreDownError
from services.tracker.store.reports import (
    DAY_MS,
    HOUR_MS,
    MOST_ITEMS,
    CostItem,
    CostKey,
    CostQuery,
    FeedItem,
    Reports,
    StatisticsItem,
    StatisticsQuery,
    TooManyItemsError,
)

_INTERVALS = {"day": (DAY_MS, 366, 30), "hour": (HOUR_MS, 744, 24)}
"""Milliseconds, most buckets of an answer, buckets where `from` is not given."""
_GROUPINGS = ("method", "tag")
_COST_KEYS: tuple[CostKey, ...] = get_args(CostKey)
_OF_SENT, _OF_DELIVERED = ("delivered", "bounced"), ("opened", "clicked", "complained", "unsubscribed")
_MOST_EVENTS = 1_000
_POLL_SECONDS = 0.5


class Reporting:
    """Reads; nothing here writes."""

    def __init__(self, store: Reports, clock: Clock) -> None:
        """`store` keeps the counts and the feed."""
        self._store = store
        self._clock = clock

    async def statistics(self, request: pb.GetStatisticsRequest) -> list[pb.Statistics]:
        """Counts and rates by bucket. InvalidInputError names what is too much."""
        company, wanted = company_of(request.company_code), self._statistics_query(request)
        with _asking():
            items = await self._store.statistics(company, wanted)
        return [_statistics_of(item) for item in items]

    async def costs(self, request: pb.GetCostsRequest) -> list[pb.Cost]:
        """Sums by key and currency. InvalidInputError names what is too much."""
        company = company_of(request.company_code)
        key: CostKey = request.group_by or "company"  # type: ignore[assignment]  # checked below
        if key not in _COST_KEYS:
            raise InvalidInputError.of("group_by", f"must be one of {', '.join(_COST_KEYS)}")
        with _asking():
            items = await self._store.costs(company, CostQuery(key, *time_range(request)))
        return [_cost_of(item) for item in items]

    async def events(self, request: pb.StreamEventsRequest) -> AsyncIterator[list[pb.FeedEvent]]:
        """Pages after the cursor; with a limit one, else whatever comes, for ever."""
        company, limit, after = company_of(request.company_code), request.limit, request.after
        if not 0 <= limit <= _MOST_EVENTS:
            raise InvalidInputError.of("limit", f"must be 1–{_MOST_EVENTS}")
        while True:
            try:
                with _asking():
                    items = await self._store.changes(company, after, limit or _MOST_EVENTS)
            except ValueError as exc:
                raise InvalidInputError.of("after", "this is no cursor of an event") from exc
            if items:
                after = items[-1].cursor
                yield [_event_of(item) for item in items]
            if limit:
                return
            if len(items) < _MOST_EVENTS:
                await asyncio.sleep(_POLL_SECONDS)

    def _statistics_query(self, request: pb.GetStatisticsRequest) -> StatisticsQuery:
        if (request.interval or "day") not in _INTERVALS:
            raise InvalidInputError.of("interval", f"must be one of {', '.join(_INTERVALS)}")
        for name in request.group_by:
            if name not in _GROUPINGS:
                raise InvalidInputError.of("group_by", f"must be of {', '.join(_GROUPINGS)}")
        interval_ms, most, default = _INTERVALS[request.interval or "day"]
        since, until = time_range(request)
        to_ms = self._clock.now_ms() + 1 if until is None else until
        from_ms = to_ms - default * interval_ms if since is None else since
        if to_ms - from_ms > most * interval_ms:
            raise InvalidInputError.of(
                "from", f"at most {most} {request.interval or 'day'}s before to; choose a shorter range"
            )
        return StatisticsQuery(from_ms, to_ms, interval_ms, "method" in request.group_by, "tag" in request.group_by)


@contextmanager
def _asking() -> Iterator[None]:
    """What the store raises, as our errors."""
    try:
        yield
    except TooManyItemsError as exc:
        raise InvalidInputError.of("group_by", f"more than {MOST_ITEMS} items; choose a shorter range") from exc
    except StoreDownError as exc:
        raise UnavailableError("The record store does not answer.", retry_after=1) from exc


def _statistics_of(item: StatisticsItem) -> pb.Statistics:
    sent, delivered = item.reached.get("sent", 0), item.reached.get("delivered", 0)
    rates = {name: item.reached.get(name, 0) / sent for name in _OF_SENT if sent}
    rates |= {name: item.reached.get(name, 0) / delivered for name in _OF_DELIVERED if delivered}
    return pb.Statistics(
        bucket=timestamp(item.bucket_ms),
        method=item.method,
        tag=item.tag,
        total=sum(item.counts.values()),
        counts={state: item.counts.get(state, 0) for state in STATES},
        rates=pb.Rates(**{name: round(rate, 6) for name, rate in rates.items()}),
    )


def _cost_of(item: CostItem) -> pb.Cost:
    return pb.Cost(key=item.key, messages=item.messages, cost_micros=item.cost_micros, currency=item.currency)


def _event_of(item: FeedItem) -> pb.FeedEvent:
    return pb.FeedEvent(
        cursor=item.cursor,
        message_id=item.message_id,
        group_id=item.group_id,
        company_code=item.company_code,
        type=item.type,
        state=item.state,
        time=timestamp(item.time_ms),
        reason=reason_of(item.reason_code),
    )
