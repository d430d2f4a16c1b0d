"""Suppressed addresses in the tracker: the lists of the queue follow the record store, whatever happens to either."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.clock import SystemClock
from morpheus_kit.errors import InvalidInputError, UnavailableError
from morpheus_kit.queue.outcomes import Outcome
from morpheus_kit.queue.scripts import Queue
from services.tracker.erasures import Erasures
from services.tracker.inputs import Inputs
from services.tracker.paging import PageTokens
from services.tracker.privacy_service import Privacy, address_of
from services.tracker.queries import Queries
from services.tracker.reporting import Reporting
from services.tracker.service import TrackerService
from services.tracker.store.sqlite import SqliteStore
from services.tracker.suppressions import Suppressions
from services.tracker.unsubscribes import Unsubscribes
from services.tracker.watches import Watches
from services.tracker.webhooks.ingest import Webhooks
from tests.integration.tracker.rig import HASHER, SECRET, Sender, consumer_of, listed, record_all


def rpcs_of(suppressions: Suppressions) -> TrackerService:
    """The RPCs; nothing here is a question to the records."""
    return TrackerService(
        cast("Queries", None),
        cast("Watches", None),
        cast("Reporting", None),
        cast("Inputs", None),
        cast("Webhooks", None),
        Privacy(suppressions, cast("Unsubscribes", None), cast("Erasures", None)),
        PageTokens(SECRET),
    )


@pytest.fixture
def suppressions(store: SqliteStore, queue: Queue) -> Suppressions:
    return Suppressions(store, [queue], HASHER, SystemClock())


async def kept(suppressions: Suppressions, company: str = "acme") -> set[tuple[str, str, str | None]]:
    return {(each.stream, each.reason, each.address) for each in await suppressions.page(company, "", None, 100)}


async def test_bounces_and_complaints_suppress_every_stream_and_an_opt_out_its_own(
    suppressions: Suppressions, store: SqliteStore, queue: Queue
) -> None:
    sender = Sender(queue)
    consumer = consumer_of(queue, store, suppressions)
    await sender.commit(6)
    kinds = ("hard_bounced", "complained", "unsubscribed", "soft_bounced", "opened")
    for index, kind in enumerate(kinds):
        await sender.send(index, kinds=("sent", kind))
    await sender.add(events=[sender.event(5, "complained")])  # before its record
    await record_all(consumer, queue)
    assert {address for _, _, address in await kept(suppressions)} == {f"Person{n}@Example.com" for n in (0, 1, 2)}
    await sender.send(5, kinds=("sent",))
    await record_all(consumer, queue)
    expected = {
        ("", "bounce", "Person0@Example.com"),
        ("", "complaint", "Person1@Example.com"),
        ("transactional", "unsubscribe", "Person2@Example.com"),
        ("", "complaint", "Person5@Example.com"),
    }
    assert await kept(suppressions) == expected
    hashes = {index: HASHER.hash("acme", f"person{index}@example.com") for index in (0, 1, 2, 5)}
    assert await listed(queue) == {"": {hashes[0], hashes[1], hashes[5]}, "transactional": {hashes[2]}}


async def test_events_told_again_after_a_crash_suppress_once(
    suppressions: Suppressions, store: SqliteStore, queue: Queue
) -> None:
    sender = Sender(queue)
    outcome = Outcome(
        [sender.group_record(1)], [sender.record(0)], [sender.event(0, "sent"), sender.event(0, "hard_bounced")]
    )
    await store.write(outcome)  # and here the tracker died
    for _ in range(2):
        await suppressions.follow((await store.write(outcome)).unwelcome)
    assert await kept(suppressions) == {("", "bounce", "Person0@Example.com")}


async def test_rebuilding_brings_back_what_was_lost_and_takes_out_what_is_stale(
    suppressions: Suppressions, store: SqliteStore, queue: Queue
) -> None:
    for index in range(900):
        company = "acme" if index % 2 else "beta"
        stream = "newsletter" if index % 3 else ""
        await store.add_suppressions([suppressions._row(company, f"p{index}@example.com", stream, "manual")])
    await queue.redis.hset(queue.keys.suppressed_list("acme/"), b"stale", "bounce")
    await queue.redis.sadd(queue.keys.suppressed, "acme/")
    stopping = asyncio.Event()
    running = asyncio.create_task(suppressions.main(stopping))
    for _ in range(2):
        await queue.redis.delete(queue.keys.suppressed)
        async with asyncio.timeout(10):
            while not await queue.knows_suppressions():
                await asyncio.sleep(0.02)
        found = await listed(queue)
        assert {stream: len(hashes) for stream, hashes in found.items()} == {"": 150, "newsletter": 300}
        keys = await queue.redis.keys(queue.keys.suppressed_list("*"))
        await queue.redis.delete(*keys)
    stopping.set()
    await running


async def test_a_queue_that_is_away_keeps_the_event_unacknowledged(
    suppressions: Suppressions, store: SqliteStore, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise UnavailableError

    sender = Sender(queue)
    consumer = consumer_of(queue, store, suppressions)
    await sender.commit(1)
    await sender.send(0, kinds=("sent", "hard_bounced"))
    with monkeypatch.context() as patched:
        patched.setattr(queue, "suppress", away)
        with pytest.raises(UnavailableError):
            await record_all(consumer, queue)
    assert await queue.redis.xlen(queue.keys.outcomes) > 0
    later = consumer_of(queue, store, suppressions)
    await record_all(later, queue)
    assert (await listed(queue))[""] == {HASHER.hash("acme", "person0@example.com")}


async def test_added_listed_in_pages_and_removed(suppressions: Suppressions, queue: Queue) -> None:
    rpcs = rpcs_of(suppressions)
    for index in range(5):
        request = pb.AddSuppressionRequest(company_code="acme", address=f"p{index}@example.com", stream="news")
        first = await rpcs.AddSuppression(request, None)
        again = await rpcs.AddSuppression(request, None)
        assert (first.created, again.created) == (True, False)
        assert first.suppression == again.suppression
        assert (first.suppression.reason, first.suppression.stream) == ("manual", "news")
    await rpcs.AddSuppression(pb.AddSuppressionRequest(company_code="beta", address="p0@example.com"), None)
    token, seen = "", []
    while True:
        page = await rpcs.ListSuppressions(
            pb.ListSuppressionsRequest(company_code="acme", page_size=2, page_token=token), None
        )
        seen += [each.address for each in page.suppressions]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == [f"p{index}@example.com" for index in range(5)]
    assert len(await listed(queue, "beta")) == 1
    for removed in (1, 0):
        answer = await rpcs.RemoveSuppression(
            pb.RemoveSuppressionRequest(company_code="acme", address="P0@Example.com"), None
        )
        assert answer.removed == removed
    one = pb.ListSuppressionsRequest(company_code="acme", address="p0@example.com")
    assert not (await rpcs.ListSuppressions(one, None)).suppressions
    assert HASHER.hash("acme", "p0@example.com") not in (await listed(queue))["news"]
    assert len(await listed(queue, "beta")) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": ""}, "address: is required"),
        ({"address": "a@"}, "address: is not an email address"),
        ({"address": "07700 900123"}, "address: an email address, or a number with its country"),
        ({"address": "bounced@simulator.example.com"}, "address: simulator addresses are exempt"),
        ({"stream": "A B"}, "stream: must be 1–32"),
        ({"reason": "x" * 257}, "reason: at most 256"),
        ({"company_code": "*"}, "company_code: one company"),
    ],
)
async def test_what_cannot_be_suppressed_is_named(
    suppressions: Suppressions, fields: dict[str, str], said: str
) -> None:
    request = pb.AddSuppressionRequest(**({"company_code": "acme", "address": "a@b.example"} | fields))
    with pytest.raises(InvalidInputError, match=said.replace("(", r"\(")):
        await rpcs_of(suppressions).AddSuppression(request, None)


def test_a_number_is_one_in_any_notation() -> None:
    assert address_of("+44 7700 900123") == address_of("0044 7700 900-123") == "+447700900123"
