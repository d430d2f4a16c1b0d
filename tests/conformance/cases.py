"""What every record store must do: the same inputs, the same answers, order and totals included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from morpheus_kit import ids
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.schema import Event, GroupRecord, MessageRecord, QueuedMessage, pack
from services.tracker.fold import Folded, fold
from services.tracker.states import KINDS
from services.tracker.store.base import GroupFilter, MessageFilter, Position
from tests.conformance.samples import T0, Records, event, group, group_event, message_id, record, reference


class RecordStoreCases:
    """A subclass gives the fixture `records`; its clock shows `T0` + 10 s."""

    async def test_one_batch_makes_a_whole_document(self, records: Records) -> None:
        await records.write(
            Outcome([group()], [record(0)], [event(0), event(0, "delivered", source="test", at=T0 + 9)])
        )
        found = await records.store.message("acme", ids.message_id("acme", "june", 0, 0))
        assert found is not None
        assert found.body is not None
        assert (found.head.folded.state, found.body.text, found.shared.group_id) == ("delivered", "number 0", "june")
        row = await records.store.group("acme", "june")
        assert row is not None
        assert (row.counts, row.settled, row.settled_ms, row.total, row.ended_lately) == (
            {"delivered": 1},
            1,
            T0 + 5,
            3,
            1,
        )

    async def test_written_twice_is_written_once(self, records: Records) -> None:
        outcome = Outcome([group()], [record(0), record(1)], [event(0), event(1, "failed")])
        await records.write(outcome)
        before = await records.store.group("acme", "june")
        await records.write(outcome)
        assert await records.store.group("acme", "june") == before
        assert await records.listed() == ["p0@example.com", "p1@example.com"]

    async def test_event_before_its_record_is_seen_by_nobody(self, records: Records) -> None:
        await records.write(Outcome([group()], [], [event(0)]))
        for company in ("acme", "*"):
            assert await records.listed(company) == []
            assert await records.store.message(company, ids.message_id("acme", "june", 0, 0)) is None
        await records.write(Outcome([], [record(0)]))
        assert await records.listed(state="sent") == ["p0@example.com"]

    async def test_message_before_its_group_waits_in_the_store(self, records: Records) -> None:
        await records.write(Outcome([], [record(0)], [event(0)]))
        assert await records.listed() == []
        assert await records.store.group("acme", "june") is None
        await records.write(Outcome([group()]))
        assert await records.listed() == ["p0@example.com"]
        row = await records.store.group("acme", "june")
        assert row is not None
        assert row.counts == {"sent": 1}

    async def test_company_sees_only_its_own(self, records: Records) -> None:
        await records.write(
            Outcome([group(), group("other")], [record(0), record(0, "other")], [event(0), event(0, company="other")])
        )
        mine, theirs = (ids.message_id(company, "june", 0, 0) for company in ("acme", "other"))
        assert await records.store.message("acme", theirs) is None
        assert await records.store.message("other", theirs) is not None
        assert await records.store.message("*", mine) is not None
        for wanted in (
            {},
            {"words": ("number",)},
            {"group_id": "june"},
            {"tags": ("g",)},
            {"address": "p0@example.com"},
        ):
            assert len(await records.listed("acme", **wanted)) == 1
            assert len(await records.listed("*", **wanted)) == 2
            assert await records.listed("nobody", **wanted) == []
        assert len(await records.store.groups("acme", GroupFilter(), None, 10)) == 1
        assert len(await records.store.groups("*", GroupFilter(), None, 10)) == 2
        assert await records.store.group("nobody", "june") is None

    async def test_each_filter(self, records: Records) -> None:
        await records.write(
            Outcome(
                [group(), group(group_id="july", at=T0 + 100, stream="news", method="smtp", tags=["x"])],
                [
                    record(0, tags=["vip", "g"]),
                    record(1, text="Überraschung für Zoë", address="+44 20 7946 0018"),
                    record(2, group_id="july", at=T0 + 100),
                ],
                [
                    event(0, external_id="ext-0"),
                    event(1, "failed", reason_code="provider_refused"),
                    event(2, group_id="july"),
                    event(2, "delivered", group_id="july", source="smtp"),
                ],
            )
        )
        zero, one, two = "p0@example.com", "+44 20 7946 0018", "p2@example.com"
        cases: list[tuple[dict[str, Any], list[str]]] = [
            ({}, [one, zero, two]),
            ({"words": ("uberraschung",)}, [one]),
            ({"words": ("zoe", "uberr")}, [one]),
            ({"words": ("uberr", "zoe")}, []),
            ({"words": ("vip",)}, [zero]),
            ({"words": ("p0",)}, [zero]),
            ({"group_id": "july"}, [two]),
            ({"tags": ("g",)}, [one, zero]),
            ({"tags": ("g", "vip")}, [zero]),
            ({"state": "failed"}, [one]),
            ({"state": "sent"}, [zero]),
            ({"state": "delivered"}, [two]),
            ({"reason": "provider_refused"}, [one]),
            ({"method": "smtp"}, [two]),
            ({"stream": "transactional"}, [one, zero]),
            ({"address": "P0@EXAMPLE.COM"}, [zero]),
            ({"address": "00442079460018"}, [one]),
            ({"external_id": "ext-0"}, [zero]),
            ({"from_ms": T0 + 1}, [two]),
            ({"to_ms": T0 + 100}, [one, zero]),
            ({"from_ms": T0, "to_ms": T0}, []),
        ]
        for wanted, expected in cases:
            assert await records.listed(**wanted) == sorted(expected), wanted
        assert [row.shared.group_id for row in await records.store.groups("acme", GroupFilter(tag="x"), None, 9)] == [
            "july"
        ]
        assert [
            row.shared.group_id for row in await records.store.groups("acme", GroupFilter(method="test"), None, 9)
        ] == ["june"]
        assert [
            row.shared.group_id for row in await records.store.groups("acme", GroupFilter(to_ms=T0 + 1), None, 9)
        ] == ["june"]

    async def test_pages_go_on_over_days_and_months_without_messages(self, records: Records) -> None:
        days = (0, 1, 3, 10, 20, 20, 40, 90)
        messages = [record(index, at=T0 - day * 86_400_000) for index, day in enumerate(days)]
        await records.write(Outcome([group(total=len(days))], messages, [event(index) for index in range(len(days))]))
        for wanted, places in ((MessageFilter(), days), (MessageFilter(to_ms=T0 - 2 * 86_400_000), days[2:])):
            for size in (1, 3, 8):
                listed: list[int] = []
                after = None
                while page := await records.store.messages("acme", wanted, after, size):
                    listed += [(T0 - each.head.accepted_at_ms) // 86_400_000 for each in page]
                    after = Position(page[-1].head.accepted_at_ms, page[-1].place)
                assert listed == list(places)

    async def test_pages_meet_without_gap_or_overlap(self, records: Records) -> None:
        await records.write(Outcome([group()], [record(index, at=T0 + index // 7) for index in range(40)]))
        for company in ("acme", "*"):
            whole = [document.id for document in await records.store.messages(company, MessageFilter(), None, 100)]
            found: list[str] = []
            after = None
            while page := await records.store.messages(company, MessageFilter(), after, 3):
                found += [document.id for document in page]
                after = Position(page[-1].head.accepted_at_ms, page[-1].place)
            assert found == whole
            assert len(set(found)) == 40

    async def test_better_record_replaces_text_and_search(self, records: Records) -> None:
        await records.write(Outcome([group()], [record(0, rendered=False, subject="", html="", text="", tags=["t"])]))
        await records.write(Outcome([], [record(0, reconstructed=True, text="early draft", tags=["t"])]))
        await records.write(Outcome([], [record(0, text="final words", tags=["t"])]))
        await records.write(Outcome([], [record(0, reconstructed=True, text="early draft", tags=["t"])]))
        assert await records.listed(words=("draft",)) == []
        assert await records.listed(words=("final",), tags=("t",)) == ["p0@example.com"]

    async def test_record_that_cannot_be_read_is_kept_stripped(self, records: Records) -> None:
        bad = MessageRecord(reference(0), "acme", "june", b"\xc1")
        refused = await records.write(Outcome([group()], [bad, record(1)], [event(0)]))
        assert [refusal.record for refusal in refused] == [bad]
        found = await records.store.message("acme", ids.message_id("acme", "june", 0, 0))
        assert found is not None
        assert (found.head.folded.state, bool(found.head.error), found.message) == ("sent", True, None)
        assert len(await records.listed()) == 2

    async def test_messages_have_the_versions_they_were_rendered_with(self, records: Records) -> None:
        """Those of one group differ where it was pinned anew in between."""
        versions = [{"a.html": "1", "outer.html": "1"}, {"a.html": "2", "outer.html": "1"}]
        made = [record(each % 2, template_versions=versions[each % 2]) for each in range(2)]
        more = [record(each, template_versions=versions[1]) for each in range(3, 12)]
        await records.write(Outcome([group()], [*made, record(2, rendered=False), *more]))
        found = [(await records.message(index)).body for index in (0, 1, 2, 11)]
        assert [body and body.template_versions for body in found] == [*versions, {}, versions[1]]

    async def test_parts_of_a_group_add_up(self, records: Records) -> None:
        info = group(parts=2).shared
        await records.write(Outcome([GroupRecord(info, 1, 5, T0 + 9, "k")]))
        await records.write(Outcome([GroupRecord(info, 0, 3, T0, "k"), GroupRecord(info, 0, 3, T0, "k")]))
        row = await records.store.group("acme", "june")
        assert row is not None
        assert (row.total, row.parts_in, row.accepted_ms) == (8, 2, T0)

    async def test_context_is_kept_as_it_was_queued(self, records: Records) -> None:
        context = msgspec.Raw(msgspec.msgpack.encode({"a": [1, None, "ü"]}))
        blob = pack(QueuedMessage(1, ids.message_id("acme", "june", 0, 0), 0, 0, T0, "a@b.example", context=context))
        await records.write(Outcome([group()], [MessageRecord(reference(0), "acme", "june", blob)]))
        found = await records.store.message("acme", ids.message_id("acme", "june", 0, 0))
        assert found is not None
        assert found.message is not None
        assert bytes(found.message.context) == bytes(context)

    async def test_what_was_queued_and_rendered_comes_back_as_it_was(self, records: Records) -> None:
        await records.write(
            Outcome([group()], [record(0, tags=["vip", "g"])], [event(0, detail={"response": "250 ok"})])
        )
        (listed,) = await records.store.messages("acme", MessageFilter(), None, 10)
        whole = await records.message()
        assert whole.head == listed.head
        assert (listed.body, whole.place) == (None, listed.place)
        assert (whole.head.tags, whole.head.first_name, whole.head.subject) == (["vip", "g"], "Zoë", "Hi")
        assert whole.body is not None
        assert (whole.body.html, whole.body.text, whole.body.blob) == (
            "<p>x</p>",
            "number 0",
            record(0, tags=["vip", "g"]).blob,
        )
        assert whole.shared == group().shared

    async def test_messages_are_in_one_order_everywhere(self, records: Records) -> None:
        await records.write(
            Outcome([group()], [record(index) for index in (3, 0, 4, 1)]),
            Outcome([group("other", at=T0)], [record(0, "other"), record(7), record(2)]),
            Outcome([group(group_id="july")], [record(0, group_id="july", at=T0 + 1)]),
        )
        mine = [document.id for document in await records.store.messages("acme", MessageFilter(), None, 100)]
        assert mine == [message_id(0, group_id="july"), *(message_id(index) for index in (7, 4, 3, 2, 1, 0))]
        everyone = await records.store.messages("*", MessageFilter(), None, 100)
        order = [(document.head.accepted_at_ms, document.place) for document in everyone]
        assert order == sorted(order, reverse=True)
        assert [document.id for document in everyone if document.shared.company_code == "acme"] == mine

    async def test_groups_follow_each_other_without_gap_or_overlap(self, records: Records) -> None:
        await records.write(Outcome([group(group_id=f"g{number}", at=T0 + number // 3) for number in range(10)]))
        whole = [row.uuid for row in await records.store.groups("acme", GroupFilter(), None, 100)]
        found: list[str] = []
        after = None
        while page := await records.store.groups("acme", GroupFilter(), after, 4):
            found += [row.uuid for row in page]
            after = Position(page[-1].accepted_ms, page[-1].uuid)
        assert found == whole
        assert whole == [ids.group_uuid("acme", row) for row in sorted(_names(), key=_newest, reverse=True)]

    async def test_counts_of_each_group_of_a_page_are_its_own(self, records: Records) -> None:
        groups = [group(group_id=name, at=T0 + at) for at, name in enumerate("abc")]
        messages = [record(index, group_id=name) for name in "abc" for index in range(2)]
        events = [event(0, group_id="a"), event(1, "failed", group_id="a"), event(0, "deferred", group_id="b")]
        await records.write(Outcome(groups, messages, events))
        rows = await records.store.groups("acme", GroupFilter(), None, 10)
        assert [(row.shared.group_id, row.counts, row.settled) for row in rows] == [
            ("c", {"queued": 2}, 0),
            ("b", {"deferred": 1, "queued": 1}, 0),
            ("a", {"sent": 1, "failed": 1}, 2),
        ]
        assert await records.store.group("acme", "a") == rows[2]

    async def test_end_that_was_earlier_than_known_moves_the_groups_end(self, records: Records) -> None:
        await records.write(Outcome([group()], [record(0)], [event(0, attempt=2, at=T0 + 9_000)]))
        await records.write(Outcome([], [], [event(0, "failed", at=T0 + 4_000)]))
        row = await records.store.group("acme", "june")
        assert row is not None
        assert (row.settled, row.settled_ms, row.ended_lately) == (1, T0 + 4_000, 1)

    async def test_operations_are_kept_once_and_in_order(self, records: Records) -> None:
        paused, resumed = group_event("paused", T0 + 3, reason_code="template_changed"), group_event("resumed", T0 + 4)
        await records.write(Outcome([], [], [], [resumed]), Outcome([group()]), Outcome([], [], [], [paused, resumed]))
        row = await records.store.group("acme", "june")
        assert row is not None
        assert [(each.type, each.key_id, each.reason_code) for each in row.operations] == [
            ("paused", "ops", "template_changed"),
            ("resumed", "ops", ""),
        ]

    async def test_template_versions_are_those_of_the_last_start(self, records: Records) -> None:
        first = group_event("started", T0 + 1, template_versions={"a.html": "1", "b.html": "1"})
        last = group_event("started", T0 + 9, template_versions={"a.html": "2"})
        await records.write(Outcome([group()], [], [], [last]), Outcome([], [], [], [first, last]))
        row = await records.store.group("acme", "june")
        assert row is not None
        assert (row.template_versions, row.operations) == ({"a.html": "2"}, ())

    async def test_very_long_word_is_found_by_its_beginning(self, records: Records) -> None:
        await records.write(Outcome([group()], [record(0, text="x" * 400 + " end")]))
        assert await records.listed(words=("x" * 300, "end")) == ["p0@example.com"]
        assert await records.listed(words=("x" * 400,)) == ["p0@example.com"]
        assert await records.listed(words=("y" * 300,)) == []

    async def test_value_that_is_too_long_for_an_index_is_kept(self, records: Records) -> None:
        await records.write(Outcome([group()], [record(0, address="a" * 40_000 + "@example.com")]))
        assert len((await records.message()).head.address) == 40_012

    async def test_two_hundred_histories_end_as_the_fold_says(self, records: Records) -> None:
        chance = Random(9)
        histories = {index: _history(index, chance) for index in range(200)}
        pieces = [Outcome([], [record(index)]) for index in histories]
        pieces += [Outcome([], [], [each]) for events in histories.values() for each in events]
        pieces += chance.choices(pieces, k=len(pieces) // 4)
        chance.shuffle(pieces)
        pieces.insert(len(pieces) // 3, Outcome([group(total=200)]))
        await records.write(*(_merged(pieces[at : at + 40]) for at in range(0, len(pieces), 40)))
        expected = {message_id(index): fold(message_id(index), None, events) for index, events in histories.items()}
        found = await records.store.messages("acme", MessageFilter(), None, 300)
        assert {each.id: _plain(each.head.folded) for each in found} == {
            each: _plain(folded) for each, folded in expected.items()
        }
        row = await records.store.group("acme", "june")
        assert row is not None
        assert row.counts == Counter(folded.state for folded in expected.values())
        assert row.settled == sum(folded.settled_ms > 0 for folded in expected.values())
        assert row.settled_ms == max(folded.settled_ms for folded in expected.values())


def _names() -> list[str]:
    return [f"g{number}" for number in range(10)]


def _newest(name: str) -> tuple[int, str]:
    return int(name[1:]) // 3, ids.group_uuid("acme", name)


def _history(index: int, chance: Random) -> list[Event]:
    kinds = chance.choices(list(KINDS), k=chance.randint(0, 6))
    return [
        event(index, kind, at=T0 + chance.randint(1, 500), source="us" if KINDS[kind].class_ < 3 else "test")
        for kind in kinds
    ]


def _merged(pieces: Sequence[Outcome]) -> Outcome:
    merged = Outcome()
    for piece in pieces:
        merged.groups += piece.groups
        merged.messages += piece.messages
        merged.events += piece.events
    return merged


def _plain(folded: Folded) -> bytes:
    return msgspec.msgpack.encode(folded, order="deterministic")
