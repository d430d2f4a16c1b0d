"""What every record store must do when a person is erased."""

from __future__ import annotations

import pytest

from morpheus_kit.addresses import spellings
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.base import GroupRow
from services.tracker.store.privacy import Erasure
from services.tracker.store.reports import DAY_MS, HOUR_MS, CostQuery, StatisticsQuery
from tests.conformance.privacy_cases import row
from tests.conformance.samples import T0, Records, event, group, message_id, record, reference

COST = {"cost_micros": 5, "cost_currency": "GBP"}
PERSON = "p0@example.com"


async def group_of(records: Records) -> GroupRow:
    found = await records.store.group("acme", "june")
    assert found is not None
    return found


async def erase(records: Records, address: str = PERSON) -> int:
    found = await records.store.messages_to("acme", spellings(address), 100)
    erased = await records.store.erase("acme", found)
    await records.reveal()
    return erased


class ErasureCases:
    """A subclass gives the fixture `records`."""

    async def test_nothing_is_seen_of_an_erased_person_and_everything_counted(self, records: Records) -> None:
        store = records.store
        people = [record(index, tags=[f"n{index}"], text=f"hello tok{index}") for index in range(3)]
        events = [event(index, detail=COST, external_id=f"x{index}") for index in range(3)]
        said = [event(0, "soft_bounced", source="ses", at=T0 + 9, reason_text=f"no {PERSON}", detail={"url": PERSON})]
        await records.write(Outcome([group()], people, [*events, *said], []))
        before = await group_of(records)
        statistics = StatisticsQuery(T0 - T0 % HOUR_MS, T0 + DAY_MS, HOUR_MS, by_method=True)
        counted = await store.statistics("acme", statistics), await store.costs("acme", CostQuery("method"))
        cut = StatisticsQuery(T0 - 1, T0 + 1, HOUR_MS)
        counted_in_part = await store.statistics("*", cut)
        others = await records.message(1)

        assert await erase(records) == 1

        assert await group_of(records) == before
        assert (await store.statistics("acme", statistics), await store.costs("acme", CostQuery("method"))) == counted
        assert await store.statistics("*", cut) == counted_in_part
        assert [each.messages for each in counted[1]] == [3]
        assert {each.key for each in await store.costs("acme", CostQuery("tag"))} == {"g", "n1", "n2"}
        assert await store.message("acme", message_id(0)) is None
        assert await store.details("*", [message_id(0)]) == []
        assert await records.listed() == ["p1@example.com", "p2@example.com"]
        for wanted in ({"address": PERSON}, {"words": ("tok0",)}, {"tags": ("n0",)}, {"external_id": "x0"}):
            assert await records.listed(**wanted) == []
        assert await records.listed("*", state="bounced") == []
        assert await records.message(1) == others
        assert await store.erased([reference(0), reference(1), reference(7)]) == {message_id(0)}
        assert await erase(records) == 0
        assert await store.erase("acme", [reference(0)]) == 0

    async def test_only_that_company_forgets_that_person_in_every_spelling(self, records: Records) -> None:
        addresses = ["Ada@BÜCHER.example", "ada@xn--bcher-kva.example", "ada@bücher.example", "ada@example.com"]
        mine = [record(index, address=address) for index, address in enumerate(addresses)]
        theirs = [record(0, "other", address=addresses[0])]
        await records.write(Outcome([group(total=4), group("other")], [*mine, *theirs], [], []))
        assert await records.store.erase("acme", [reference(0, "other")]) == 0
        assert await erase(records, "ada@Bücher.example") == 3
        assert await records.listed() == ["ada@example.com"]
        assert await records.listed("other") == [addresses[0]]

    async def test_what_comes_later_does_not_bring_a_message_back(self, records: Records) -> None:
        await records.write(Outcome([group(total=1)], [record(0)], [event(0)], []))
        await erase(records)
        before = await group_of(records)
        late = [
            Outcome([], [record(0, subject="again")], [], []),
            Outcome([], [], [event(0, "clicked", source="ses", at=T0 + 9, detail={"url": PERSON})], []),
            Outcome([], [], [event(0, "sent", attempt=2, external_id=PERSON)], []),
        ]
        written = await records.write(*late)
        assert written == []
        assert await records.listed() == []
        assert await group_of(records) == before
        assert await records.store.unwanted([reference(0)]) == []

    async def test_a_group_whose_erased_message_was_under_way_comes_to_its_end(self, records: Records) -> None:
        await records.write(Outcome([group(total=1)], [record(0)], [event(0, "sending")], []))
        await erase(records)
        assert (await group_of(records)).settled == 0
        told = [event(0, "delivered", source="ses", at=T0 + 7), event(0, "sent", external_id="x", detail=COST)]
        await records.write(Outcome([], [], told, []))
        now = await group_of(records)
        assert (now.counts, now.settled) == ({"sent": 1}, 1)
        assert await records.listed(external_id="x") == []

    @pytest.mark.parametrize("order", ["group record erase", "record group erase", "record erase group"])
    async def test_its_group_may_come_after_it(self, records: Records, order: str) -> None:
        outcomes = {"group": Outcome([group(total=1)], [], [], []), "record": Outcome([], [record(0)], [], [])}
        for step in order.split():
            if step == "erase":
                assert await erase(records) == 1
            else:
                await records.write(outcomes[step])
        assert await records.listed() == []
        assert (await group_of(records)).counts == {"queued": 1}

    async def test_when_persons_were_erased_is_kept_and_dropped(self, records: Records) -> None:
        store = records.store
        rows = [Erasure(company, bytes([n]) * 16, T0 + n) for company in ("a", "a-b") for n in range(3)]
        for each in [*rows, rows[0]._replace(time_ms=T0 + 50), rows[0]._replace(time_ms=T0 - 50)]:
            await store.add_erasure(each)
        rows[0] = rows[0]._replace(time_ms=T0 + 50)
        seen: list[Erasure] = []
        while page := await store.erasures(seen[-1] if seen else None, 4):
            seen += page
        assert seen == rows
        assert await store.drop_erasures(T0 + 2, 100) == [rows[1], *rows[3:5]]
        assert await store.erasures(None, 100) == [rows[0], rows[2], rows[5]]

    async def test_of_a_suppressed_address_the_hash_stays(self, records: Records) -> None:
        store = records.store
        await store.add_suppressions([row(1), row(1, "news"), row(2), row(1, company="other")])
        assert await store.forget_address("acme", row(1).recipient) == 2
        assert await store.forget_address("acme", row(1).recipient) == 0
        found = await store.suppressions("acme", row(1).recipient, None, 9)
        assert {each.address for each in found} == {None}
        assert await store.known_suppressions("acme", "news", [row(1).recipient]) == {row(1).recipient}
        assert (await store.suppressions("other", row(1).recipient, None, 9))[0].address is not None
        assert await store.add_suppressions([row(1)]) == [False]

    async def test_tidying_leaves_the_rest_as_it_is(self, records: Records) -> None:
        await records.write(Outcome([group()], [record(index, text=f"tok{index}") for index in range(3)], [], []))
        await erase(records)
        await records.store.tidy()
        assert await records.listed(words=("tok1",)) == ["p1@example.com"]
        assert await records.listed(words=("tok",)) == ["p1@example.com", "p2@example.com"]
