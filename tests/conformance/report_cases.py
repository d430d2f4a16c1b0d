"""What every record store must answer of statistics, costs and the feed, against what its messages themselves say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import get_args

import pytest

from morpheus_kit import ids
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.documents import Document
from services.tracker.store import reports
from services.tracker.store.base import EVERYONE, MessageFilter, RecordStore
from services.tracker.store.reports import (
    DAY_MS,
    HOUR_MS,
    CostItem,
    CostKey,
    CostQuery,
    StatisticsQuery,
    TooManyItemsError,
)
from tests.conformance import samples
from tests.conformance.samples import Records, event, group, record

T0 = samples.T0 // HOUR_MS * HOUR_MS
GROUPS = {"a": ("acme", ["g", "x"], "test"), "b": ("acme", ["g"], "sms"), "c": ("rival", ["g"], "test")}
KINDS = ("sent", "failed", "delivered", "opened", "clicked", "hard_bounced", "complained", "deferred")
OURS = {"sent", "failed", "deferred"}
LONG = StatisticsQuery(T0 - DAY_MS, T0 + 2 * DAY_MS, DAY_MS)


def accepted(index: int) -> int:
    """Spread over five hours, some at the edges of one."""
    return T0 + index * HOUR_MS * 5 // 6 + (index % 3 - 1)


def outcome(name: str, index: int, kind: str, at: int = 1) -> Outcome:
    """Of group `name` its record (`group`), a message's record, or an event of that kind."""
    company, tags, method = GROUPS[name]
    if kind == "group":
        return Outcome([group(company, name, at=T0, tags=tags, method=method)])
    if kind == "record":
        own = ["x", f"n{index}"] if index % 2 else []
        return Outcome(messages=[record(index, company, name, at=accepted(index), tags=own)])
    detail = {"cost_micros": 10 + index, "cost_currency": "GBP" if index % 2 else "EUR"} if kind == "sent" else {}
    source = "us" if kind in OURS else "test"
    return Outcome(events=[event(index, kind, company, name, at=T0 + at, source=source, detail=detail)])


def merged(parts: Sequence[Outcome]) -> Outcome:
    """One batch of all."""
    whole = Outcome()
    for part in parts:
        whole.groups += part.groups
        whole.messages += part.messages
        whole.events += part.events
    return whole


async def check(store: RecordStore, company: str, wanted: StatisticsQuery) -> None:
    """Statistics and costs of a range are what its messages add up to."""
    found: Counter[tuple[object, ...]] = Counter()
    items = await store.statistics(company, wanted)
    keys = [(item.bucket_ms, item.method, item.tag) for item in items]
    assert keys == sorted(set(keys))
    for key, item in zip(keys, items, strict=True):
        assert 0 not in {*item.counts.values(), *item.reached.values()}
        found.update({(*key, "state", name): number for name, number in item.counts.items()})
        found.update({(*key, "reached", name): number for name, number in item.reached.items()})
    listed = await store.messages(company, MessageFilter(), None, 1000)
    chosen = [each for each in listed if wanted.from_ms <= each.head.accepted_at_ms < wanted.to_ms]
    assert found == _expected(chosen, wanted)
    for by in get_args(CostKey):
        assert await store.costs(company, CostQuery(by, wanted.from_ms, wanted.to_ms)) == _costs(chosen, by)


def _expected(chosen: Sequence[Document], wanted: StatisticsQuery) -> Counter[tuple[object, ...]]:
    expected: Counter[tuple[object, ...]] = Counter()
    for each in chosen:
        bucket = each.head.accepted_at_ms // wanted.interval_ms * wanted.interval_ms
        for tag in _tags(each) if wanted.by_tag else {""}:
            key = (bucket, each.shared.method if wanted.by_method else "", tag)
            expected[*key, "state", each.head.folded.state] += 1
            expected.update((*key, "reached", name) for name in each.head.folded.first)
    return expected


def _costs(chosen: Sequence[Document], by: CostKey) -> list[CostItem]:
    sums: dict[tuple[str, str], list[int]] = {}
    for each in chosen:
        currency = each.head.folded.value("cost_currency")
        if not currency:
            continue
        day = datetime.fromtimestamp(each.head.accepted_at_ms / 1000, UTC).date().isoformat()
        keys = {"company": {each.shared.company_code}, "method": {each.shared.method}, "tag": _tags(each)}
        for name in keys.get(by, {day}):
            row = sums.setdefault((name, currency), [0, 0])
            row[0] += 1
            row[1] += each.head.folded.value("cost_micros")
    return [CostItem(*names, *numbers) for names, numbers in sorted(sums.items())]


def _tags(document: Document) -> set[str]:
    return {*document.shared.tags, *document.head.tags}


async def read_feed(store: RecordStore, company: str, limit: int = 3) -> list[tuple[str, str, str]]:
    """All of the feed, a page at a time."""
    found: list[tuple[str, str, str]] = []
    after = ""
    while items := await store.changes(company, after, limit):
        assert len(items) <= limit
        found += [(item.message_id, item.type, item.state) for item in items]
        after = items[-1].cursor
    return found


def message_id(index: int, name: str = "a") -> str:
    return ids.message_id(GROUPS[name][0], name, 0, index)


class ReportCases:
    """A subclass gives the fixture `records`."""

    async def test_statistics_and_costs_are_those_of_the_messages(self, records: Records) -> None:
        chance = Random(5)
        kinds = ["record", *KINDS]
        pieces = [
            outcome(chance.choice("abc"), chance.randint(0, 5), chance.choice(kinds), chance.randint(1, 5))
            for _ in range(150)
        ]
        pieces[40:40] = [outcome(name, 0, "group") for name in "ac"]
        pieces[90:90] = [outcome("b", 0, "group")]
        await records.write(*(merged(pieces[at : at + 7]) for at in range(0, len(pieces), 7)))
        for company in ("acme", "rival", "nobody", EVERYONE):
            for by_method, by_tag in ((False, False), (True, False), (False, True), (True, True)):
                low, high = sorted(chance.randint(0, 6 * HOUR_MS) for _ in range(2))
                for interval in (HOUR_MS, DAY_MS):
                    wanted = StatisticsQuery(T0 + low, T0 + high, interval, by_method=by_method, by_tag=by_tag)
                    await check(records.store, company, wanted)
                await check(records.store, company, StatisticsQuery(T0 - DAY_MS, T0 + DAY_MS, HOUR_MS))

    async def test_an_empty_store_has_nothing_to_count(self, records: Records) -> None:
        assert await records.store.statistics("acme", LONG) == []
        assert await records.store.costs("acme", CostQuery("day")) == []
        assert await records.store.changes(EVERYONE, "", 10) == []

    async def test_costs_without_a_range_are_of_everything(self, records: Records) -> None:
        await records.write(outcome("a", 1, "group"), outcome("a", 1, "record"), outcome("a", 1, "sent"))
        for query in (CostQuery("day"), CostQuery("day", from_ms=T0), CostQuery("day", to_ms=T0 + DAY_MS)):
            assert await records.store.costs("acme", query) == [CostItem("2026-05-28", "GBP", 1, 11)]

    async def test_statistics_of_more_items_than_an_answer_holds_are_refused(
        self, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for index in (0, 2, 4):
            await records.write(
                merged([outcome("a", 0, "group"), outcome("a", index, "record"), outcome("a", index, "sent")])
            )
        hours = StatisticsQuery(T0 - HOUR_MS, T0 + DAY_MS, HOUR_MS)
        assert len(await records.store.statistics("acme", hours)) == 3
        monkeypatch.setattr(reports, "MOST_ITEMS", 2)
        with pytest.raises(TooManyItemsError):
            await records.store.statistics("acme", hours)
        assert len(await records.store.statistics("acme", LONG)) == 1
        monkeypatch.setattr(reports, "MOST_ITEMS", 1)
        with pytest.raises(TooManyItemsError):
            await records.store.costs("acme", CostQuery("tag"))

    async def test_by_tag_those_with_the_most_messages_are_told(
        self, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reports, "MOST_TAGS", 2)
        parts = [outcome("a", 0, "group")]
        for index in range(6):
            parts += [outcome("a", index, "record"), outcome("a", index, "sent")]
        await records.write(merged(parts))
        by_tag = StatisticsQuery(T0 - DAY_MS, T0 + DAY_MS, 3 * DAY_MS, by_tag=True)
        found = await records.store.statistics("acme", by_tag)
        assert {(item.tag, item.counts["sent"]) for item in found} == {("g", 6), ("x", 6)}
        monkeypatch.setattr(reports, "MOST_TAGS", 3)
        assert {item.tag for item in await records.store.statistics("acme", by_tag)} == {"g", "x", "n1"}
        assert [item.key for item in await records.store.costs("acme", CostQuery("tag"))] == [
            *("g", "g", "n1", "x", "x"),
        ]

    async def test_the_feed_has_every_change_in_order_and_nothing_twice(self, records: Records) -> None:
        for name, index in (("a", 0), ("c", 0), ("a", 1)):
            await records.write(outcome(name, index, "record"))
            for kind in ("deferred", "sent", "opened", "opened", "delivered"):
                await records.write(outcome(name, index, kind))
        expected = [
            (message_id(index), kind, state)
            for index in (0, 1)
            for kind, state in (("deferred", "deferred"), ("sent", "sent"), ("opened", "opened"))
        ]
        assert await read_feed(records.store, "acme") == expected
        assert {item.company_code for item in await records.store.changes("rival", "", 100)} == {"rival"}
        assert len(await read_feed(records.store, EVERYONE)) == 9

    async def test_what_happened_before_the_record_came_is_in_the_feed_when_it_comes(self, records: Records) -> None:
        await records.write(outcome("a", 0, "delivered", 2))
        await records.write(outcome("a", 0, "sent"))
        assert await read_feed(records.store, EVERYONE) == []
        await records.write(outcome("a", 0, "record"))
        told = await read_feed(records.store, "acme")
        assert told == [(message_id(0), "sent", "sent"), (message_id(0), "delivered", "delivered")]

    async def test_a_batch_written_again_is_in_the_feed_once(self, records: Records) -> None:
        batch = merged([outcome("a", index, kind) for index in range(3) for kind in ("record", "sent")])
        await records.write(batch, batch)
        assert len(await read_feed(records.store, "acme")) == 3

    async def test_a_reader_that_goes_on_from_any_cursor_misses_nothing(self, records: Records) -> None:
        await records.write(
            Outcome([], [record(index) for index in range(30)], [event(index) for index in range(30)]),
            Outcome(events=[event(index, "delivered", source="test") for index in range(30)]),
        )
        everything = await records.store.changes("acme", "", 1000)
        assert len(everything) == 60
        for number, item in enumerate(everything):
            assert await records.store.changes("acme", item.cursor, 1000) == everything[number + 1 :]
        with pytest.raises(ValueError, match="x1"):
            await records.store.changes("acme", "x1", 10)
