"""What every record store must hold while others write: pages that stay in place, and answers to one company alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, get_args

import pytest

from morpheus_kit import ids
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import MessageRecord
from services.tracker.documents import Document
from services.tracker.store.base import EVERYONE, GroupFilter, MessageFilter, Position, RecordStore
from services.tracker.store.privacy import Suppression
from services.tracker.store.reports import DAY_MS, HOUR_MS, CostKey, CostQuery, StatisticsQuery
from tests.conformance.samples import T0, Records, event, group, record

_GROUPS = ("june", "july")
_MESSAGES = 8
_LISTED = 150
_KINDS = ("sent", "failed", "delivered", "opened", "hard_bounced")


def after(listed: Sequence[Document]) -> Position | None:
    """Where the next page goes on."""
    return Position(listed[-1].head.accepted_at_ms, listed[-1].place) if listed else None


def check_order(listed: Sequence[Document]) -> None:
    """Newest first, nothing twice."""
    places = [(each.head.accepted_at_ms, each.place) for each in listed]
    assert places == sorted(places, reverse=True)
    assert len({each.id for each in listed}) == len(listed)


class PageCases:
    """A subclass gives the fixture `records`."""

    @pytest.mark.parametrize(
        ("company", "wanted", "size"),
        [
            ("acme", MessageFilter(), 5),
            (EVERYONE, MessageFilter(tags=("g",)), 7),
            ("acme", MessageFilter(words=("n",)), 3),
        ],
        ids=["all", "a tag of everyone", "a word"],
    )
    async def test_pages_are_stable_while_writes_go_on(
        self, records: Records, company: str, wanted: MessageFilter, size: int
    ) -> None:
        chance = Random(size)
        owners = ["acme", "rival"]

        def some(index: int, **more: Any) -> Outcome:
            owner = owners[index % 2]
            return Outcome([], [record(index, owner, at=T0 + index * 37 % 11, **more)])

        first = [some(index, rendered=False) for index in range(40)]
        await records.write(Outcome([group("acme"), group("rival")]), *first)
        there = {each.id for each in await records.store.messages(company, wanted, None, 200)}
        listed: list[Document] = []
        number = 40
        while page := await records.store.messages(company, wanted, after(listed), size):
            assert len(page) <= size
            listed += page
            known = chance.randrange(40)
            changes = [
                some(number),
                some(known, text=f"number {known} anew"),
                Outcome([], [], [event(known, chance.choice(_KINDS), owners[known % 2], at=T0 + number)]),
            ]
            number += 1
            await records.write(chance.choice(changes[:2]), changes[2])
        check_order(listed)
        assert there <= {each.id for each in listed}

    @pytest.mark.parametrize("size", [3, 200])
    async def test_pages_have_all_messages_of_a_beginning_wherever_they_are(self, records: Records, size: int) -> None:
        """One that 40 words or more have; newest, oldest, every third, hardly any, or none of the messages have it."""
        every = list(range(_LISTED))
        await records.write(Outcome([group(total=_LISTED), group(group_id="july", tags=["h"])]))
        for index in Random(5).sample(every, _LISTED):  # recorded in another order than accepted
            await records.write(Outcome(messages=[_numbered(index)]))
        for words, tags, found in (
            (("all",), (), every),
            (("early",), (), every[60:]),
            (("late",), (), every[:60]),
            (("third", "all"), (), every[::3]),
            (("thirds", "all"), (), every[1::3]),
            (("rare", "all"), (), every[::61]),
            (("x" * 256, "all"), (), every[::61]),
            (("x" * 256, "all"), ("own",), [0]),
            (("none", "all"), (), []),
            (("early",), ("g",), [index for index in every[60:] if index % 2]),
            (("all",), ("own",), every[::50]),
            (("all",), ("h", "own"), every[::50]),
        ):
            wanted, listed = MessageFilter(words=words, tags=tags), list[Document]()
            while page := await records.store.messages("acme", wanted, after(listed), size):
                listed += page
            check_order(listed)
            assert sorted(each.head.index for each in listed) == found, (words, tags)

    async def test_another_companys_records_change_no_answer(self, records: Records) -> None:
        chance = Random(3)
        await write_all(records, "acme", chance)
        before = await answers(records.store, "acme")
        assert await answers(records.store, "rival") == await answers(records.store, "nobody")
        await write_all(records, "rival", chance)
        assert await answers(records.store, "acme") == before
        theirs = await answers(records.store, "rival")
        assert theirs["companies"] == {"rival"}
        assert before["companies"] == {"acme"}
        assert (await answers(records.store, EVERYONE))["companies"] == {"acme", "rival"}
        await write_all(records, "acme", chance)
        assert await answers(records.store, "rival") == theirs


def _numbered(index: int) -> MessageRecord:
    """The higher, the older; some are of one time. Even ones are July's; its tag is `h`."""
    texts = [f"all{index}", f"late{index}" if index < 60 else f"early{index}", ("third", "thirds", "")[index % 3]]
    texts += [] if index % 61 else ["rare", "x" * 300]
    return record(
        index,
        group_id="june" if index % 2 else "july",
        at=T0 - index // 4 * HOUR_MS,
        text=" ".join(texts),
        tags=[] if index % 50 else ["own"],
    )


async def write_all(records: Records, company: str, chance: Random) -> None:
    """Groups, messages and events of the same names, tags, addresses and words in every company."""
    whole = Outcome([group(company, name, total=_MESSAGES) for name in _GROUPS])
    for name in _GROUPS:
        for index in range(_MESSAGES):
            at = T0 + chance.randrange(3) * HOUR_MS
            whole.messages.append(record(index, company, name, at=at, tags=[f"n{index % 2}"]))
            for kind in chance.sample(_KINDS, 2):
                source = "us" if kind in {"sent", "failed"} else "test"
                more = {"external_id": f"x{index}", "reason_code": "", "detail": {}}
                if kind == "sent":
                    more["detail"] = {"cost_micros": chance.randrange(100), "cost_currency": "GBP"}
                whole.events.append(event(index, kind, company, name, at=T0 + 5, source=source, **more))
    await records.write(whole)
    suppression = Suppression(company, "", bytes(16), "manual", T0, "p0@example.com")
    await records.store.add_suppressions([suppression])


async def answers(store: RecordStore, company: str) -> dict[str, Any]:
    """Everything that a company may ask."""
    wanted = [
        MessageFilter(),
        MessageFilter(words=("number",)),
        MessageFilter(group_id="june"),
        MessageFilter(tags=("g", "n1")),
        MessageFilter(address="p0@example.com"),
        MessageFilter(external_id="x1"),
        *(MessageFilter(state=state) for state in ("sent", "failed", "bounced")),
    ]
    every = [ids.message_id(owner, "june", 0, index) for owner in ("acme", "rival") for index in range(_MESSAGES)]
    found: dict[str, Any] = {}
    for number, each in enumerate(wanted):
        found[f"messages {number}"] = await store.messages(company, each, None, 100)
    found["message"] = [await store.message(company, message_id) for message_id in every[:: _MESSAGES // 2]]
    found["details"] = sorted(await store.details(company, every), key=lambda document: document.id)
    found["group"] = [await store.group(company, name) for name in _GROUPS] if company != EVERYONE else []
    for number, groups in enumerate((GroupFilter(), GroupFilter(tag="g"), GroupFilter(method="test"))):
        found[f"groups {number}"] = await store.groups(company, groups, None, 10)
    for by_method, by_tag in ((False, False), (True, True)):
        query = StatisticsQuery(T0 - DAY_MS, T0 + DAY_MS, HOUR_MS, by_method=by_method, by_tag=by_tag)
        found[f"statistics {by_tag}"] = await store.statistics(company, query)
    for by in get_args(CostKey):
        found[f"costs {by}"] = await store.costs(company, CostQuery(by))
    found["feed"] = await store.changes(company, "", 1000)
    found["suppressions"] = await store.suppressions(company, None, None, 10)
    found["companies"] = {item.company_code for item in found["feed"]}
    for name in ("messages 0", "groups 0"):
        found["companies"] |= {each.shared.company_code for each in found[name]}
    return found
