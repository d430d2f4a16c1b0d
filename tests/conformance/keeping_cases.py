"""What every record store must do with what is not kept any more."""

from __future__ import annotations

from typing import Final

from morpheus_kit.addresses import spellings
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.retention import DAY_S, Retention
from services.tracker.store.base import GroupFilter
from services.tracker.store.reports import CostQuery
from tests.conformance.samples import T0, Records, event, group, group_event, message_id, record, reference

RETENTION: Final = Retention(365 * DAY_S, {"brief": 40 * DAY_S, "long": 800 * DAY_S})
COMPANIES: Final = ("acme", "brief", "long")
COST: Final = {"cost_micros": 5, "cost_currency": "GBP"}


async def fill(records: Records) -> None:
    """A group of three messages of each company, in the same month."""
    for company in COMPANIES:
        people = [record(index, company, tags=[f"n{index}"], text=f"tok{index}") for index in range(3)]
        events = [event(index, "sent", company, detail=COST, external_id=f"{company}{index}") for index in range(3)]
        await records.write(Outcome([group(company)], people, events, []))


async def drop(records: Records, days: float, limit: int = 2) -> int:
    """Time goes on, and all that is over is dropped in small steps; how many steps it took."""
    records.clock.advance(days * DAY_S)
    steps = 0
    while await records.store.drop_over(limit):
        steps += 1
        assert steps < 100
    await records.reveal()
    return steps


async def companies(records: Records) -> set[str]:
    """Whose messages are there, by every question that there is."""
    store = records.store
    found = {each.shared.company_code for each in await store.groups("*", GroupFilter(), None, 9)}
    words = await records.listed("*", words=("tok1",))
    assert len(words) == len(found)
    assert len(await records.listed("*")) == 3 * len(found)
    assert {each.key for each in await store.costs("*", CostQuery("company"))} == found
    assert all(each.messages == 3 for each in await store.costs("*", CostQuery("company")))
    return found


class KeepingCases:
    """A subclass gives the fixture `records`, whose store keeps by `RETENTION`."""

    async def test_each_company_s_records_go_when_their_time_is_over(self, records: Records) -> None:
        await fill(records)
        assert await drop(records, 0) == 0
        assert await companies(records) == {*COMPANIES}
        assert await drop(records, 100) > 1
        assert await companies(records) == {"acme", "long"}
        assert await records.store.group("brief", "june") is None
        assert await records.store.message("brief", message_id(0, "brief")) is None
        await drop(records, 200)
        assert await companies(records) == {"acme", "long"}
        await drop(records, 150)
        assert await companies(records) == {"long"}
        await drop(records, 500)
        assert await companies(records) == set()
        assert await drop(records, 0) == 0

    async def test_what_comes_for_a_month_that_is_over_is_dropped(self, records: Records) -> None:
        await fill(records)
        await drop(records, 100)
        late = Outcome(
            [group("brief"), group("acme", part=1, total=1)],
            [record(0, "brief"), record(3, "acme", text="tok1")],
            [event(0, "sent", "brief"), event(3, "sent", "acme", detail=COST)],
            [group_event("paused", T0 + 5)],
        )
        assert (await records.write(late)) == []
        assert await records.store.group("brief", "june") is None
        assert len(await records.listed("acme")) == 4
        await drop(records, 1000)
        await records.write(Outcome([], [], [event(0, "clicked", "long", source="ses", at=T0 + 9)], []))
        assert await records.listed("*") == []
        assert await drop(records, 0) == 0

    async def test_the_same_group_may_be_there_again_in_a_later_month(self, records: Records) -> None:
        await fill(records)
        await drop(records, 100)
        at = records.clock.now_ms()
        prefix = group("brief").shared.reference_prefix.replace("202606", "202609")
        await records.write(Outcome([group("brief", at=at, total=1, reference_prefix=prefix)], [], [], []))
        found = await records.store.group("brief", "june")
        assert found is not None
        assert (found.total, found.counts) == (1, {})

    async def test_erased_messages_go_with_the_others(self, records: Records) -> None:
        await fill(records)
        store = records.store
        assert await store.erase("brief", await store.messages_to("brief", spellings("p0@example.com"), 9)) == 1
        await records.reveal()
        await drop(records, 100)
        assert await companies(records) == {"acme", "long"}
        assert await store.erased([reference(0, "brief")]) == set()
