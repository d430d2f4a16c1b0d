"""What every record store must do with suppressed addresses."""

from __future__ import annotations

from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.privacy import Suppression, SuppressionKey, SuppressionPlace, Unwanted
from tests.conformance.samples import T0, Records, event, group, record, reference


def row(number: int, stream: str = "", company: str = "acme") -> Suppression:
    """Suppression `number`, two of each time."""
    return Suppression(company, stream, bytes([number]) * 16, "manual", T0 + number // 2, f"p{number}@example.com")


class PrivacyCases:
    """A subclass gives the fixture `records`."""

    async def test_suppressed_again_is_not_new(self, records: Records) -> None:
        store = records.store
        assert await store.add_suppressions([row(1), row(2)]) == [True, True]
        assert await store.add_suppressions([row(1)._replace(reason="other"), row(3)]) == [False, True]
        (found,) = await store.suppressions("acme", row(1).recipient, None, 9)
        assert found == row(1)

    async def test_an_address_that_nobody_knows_is_suppressed_by_its_hash_and_stays_unknown(
        self, records: Records
    ) -> None:
        store, unknown = records.store, row(1, "news")._replace(address=None)
        assert await store.add_suppressions([unknown]) == [True]
        assert await store.add_suppressions([row(1, "news")]) == [False]
        assert await store.suppressions("acme", unknown.recipient, None, 9) == [unknown]
        assert await store.all_suppressions(None, 9) == [unknown]

    async def test_pages_are_newest_first_and_of_one_company(self, records: Records) -> None:
        store = records.store
        rows = [row(number, stream) for number in range(6) for stream in ("", "news")]
        await store.add_suppressions([*rows, row(1, company="other")])
        seen: list[Suppression] = []
        after = None
        while page := await store.suppressions("acme", None, after, 5):
            seen += page
            after = SuppressionPlace(page[-1].time_ms, page[-1].stream, page[-1].recipient)
        assert seen == sorted(rows, key=lambda each: (each.time_ms, each.stream, each.recipient), reverse=True)

    async def test_all_are_read_in_the_order_of_their_keys(self, records: Records) -> None:
        store = records.store
        rows = [
            row(number, stream, company) for number in (3, 1) for stream in ("b", "") for company in ("z", "a-b", "a")
        ]
        await store.add_suppressions(rows)
        seen: list[Suppression] = []
        after = None
        while page := await store.all_suppressions(after, 5):
            seen += page
            after = SuppressionKey(*page[-1][:3])
        assert seen == sorted(rows)
        assert await store.known_suppressions("a", "b", [bytes([n]) * 16 for n in range(5)]) == {b"\1" * 16, b"\3" * 16}
        assert await store.known_suppressions("a", "b", []) == set()

    async def test_removed_from_one_list_or_from_all(self, records: Records) -> None:
        store = records.store
        await store.add_suppressions([row(1), row(1, "a"), row(1, "b"), row(2), row(1, company="other")])
        assert await store.remove_suppressions("acme", row(1).recipient, "a") == ["a"]
        assert sorted(await store.remove_suppressions("acme", row(1).recipient, "")) == ["", "b"]
        assert await store.remove_suppressions("acme", row(1).recipient, "") == []
        assert await store.suppressions("acme", None, None, 9) == [row(2)]
        assert await store.suppressions("other", None, None, 9) == [row(1, company="other")]

    async def test_writing_tells_of_unwelcome_messages_whatever_came_first(self, records: Records) -> None:
        bounced, opened = event(0, "hard_bounced", source="test"), event(0, "opened", source="test")
        for outcome, unwelcome in (
            (Outcome([group()], [record(1)], [event(1)]), []),
            (Outcome(events=[bounced]), [reference(0)]),
            (Outcome(messages=[record(0)]), [reference(0)]),
            (Outcome(events=[opened]), [reference(0)]),
            (Outcome(messages=[record(0), record(1)], events=[bounced, event(1)]), [reference(0)]),
            (Outcome(messages=[record(2)], events=[event(2, "complained", source="test")]), [reference(2)]),
        ):
            assert (await records.store.write(outcome)).unwelcome == unwelcome

    async def test_unwanted_are_messages_that_bounced_for_good_and_have_a_record(self, records: Records) -> None:
        kinds = ("hard_bounced", "complained", "unsubscribed", "soft_bounced", "delivered", "complained")
        events = [event(index, kind, source="test") for index, kind in enumerate(kinds)]
        await records.write(Outcome([group(stream="news")], [record(index) for index in range(5)], events))
        references = [reference(index) for index in range(7)]
        expected = {
            Unwanted("acme", "news", f"p{index}@example.com", (kind,))
            for index, kind in enumerate(("bounce", "complaint", "unsubscribe"))
        }
        assert set(await records.store.unwanted(references)) == expected
        await records.write(Outcome([], [record(5)]))
        assert await records.store.unwanted(references[5:]) == [
            Unwanted("acme", "news", "p5@example.com", ("complaint",))
        ]

    async def test_of_a_message_whose_contents_are_withheld_nothing_is_found(self, records: Records) -> None:
        secret = record(0, withheld=["code"], text="tok914477", subject="tok914477")
        clicked = event(0, "clicked", source="ses", at=T0 + 9, discriminator="tok914477", detail={"url": "tok914477"})
        await records.write(
            Outcome([group()], [], [clicked], []), Outcome([], [secret, record(1, text="tok914477")], [event(0)], [])
        )
        assert await records.listed(words=("tok914477",)) == ["p1@example.com"]
        found = await records.message(0)
        assert found.head.withheld
        assert found.head.folded.state == "clicked"
        assert found.message is not None
        assert found.message.withheld == ["code"]
        assert "tok914477" not in repr((found.head, found.body))
        await records.write(Outcome([], [], [clicked], []))
        assert "tok914477" not in repr(await records.message(0))
