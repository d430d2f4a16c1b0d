"""Unsubscribe links against a real store and a real queue, with and without the message's record."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from morpheus_kit.addresses import AddressHasher
from morpheus_kit.clock import ManualClock, SystemClock
from morpheus_kit.errors import NotFoundError, UnavailableError
from morpheus_kit.queue.scripts import Queue
from morpheus_kit.unsubscribe import UnsubscribeLinks
from services.tracker.consumer import Consumer
from services.tracker.erasures import Erasures
from services.tracker.outbox import Outbox
from services.tracker.store.base import StoreDownError
from services.tracker.store.privacy import Suppression
from services.tracker.store.sqlite import SqliteStore
from services.tracker.suppressions import Suppressions
from services.tracker.unsubscribes import Unsubscribes
from tests.integration.tracker.rig import ACCEPTED_MS, SECRET, Sender, consumer_of, listed, record_all

LINKS = UnsubscribeLinks(SECRET)
NOW_MS = ACCEPTED_MS + 5_000
ADDRESS = "Person0@Example.com"
HASH = AddressHasher(SECRET).hash("acme", ADDRESS)


@pytest.fixture
def suppressions(store: SqliteStore, queue: Queue) -> Suppressions:
    return Suppressions(store, [queue], AddressHasher(SECRET), ManualClock(NOW_MS))


@pytest.fixture
def unsubscribes(store: SqliteStore, suppressions: Suppressions, queue: Queue) -> Unsubscribes:
    return Unsubscribes(LINKS, store, suppressions, [queue], ManualClock(NOW_MS))


@pytest.fixture
def consumer(queue: Queue, store: SqliteStore, suppressions: Suppressions) -> Consumer:
    return consumer_of(queue, store, suppressions)


@pytest.fixture
def news(queue: Queue) -> Sender:
    """A group of stream `news`."""
    sender = Sender(queue)
    sender.shared = msgspec.structs.replace(sender.shared, stream="news", unsubscribe=True)
    return sender


def token(sender: Sender, address: str = ADDRESS) -> str:
    return LINKS.url("acme", "news", sender.reference(0), address).rpartition("/")[2]


async def kept(suppressions: Suppressions) -> list[Suppression]:
    return await suppressions.page("acme", "", None, 100)


async def test_who_posts_is_on_the_list_of_the_stream_and_the_message_says_so(
    unsubscribes: Unsubscribes,
    suppressions: Suppressions,
    store: SqliteStore,
    queue: Queue,
    news: Sender,
    consumer: Consumer,
) -> None:
    await news.commit(1)
    await news.send(0)
    await record_all(consumer, queue)
    assert unsubscribes.read(token(news)).stream == "news"
    assert await kept(suppressions) == []

    for _ in range(2):
        assert (await unsubscribes.apply(token(news))).stream == "news"

    assert await listed(queue) == {"news": {HASH}}
    row = Suppression("acme", "news", HASH, "unsubscribe", NOW_MS, ADDRESS)
    assert await kept(suppressions) == [row]
    await record_all(consumer, queue)
    assert await kept(suppressions) == [row]
    document = await store.message("acme", news.message_id(0))
    assert document is not None
    folded = document.head.folded
    assert (folded.state, folded.first["unsubscribed"]) == ("unsubscribed", NOW_MS)
    assert [event.type for event in folded.events].count("unsubscribed") == 1


async def test_a_link_works_where_nothing_else_of_the_message_is_kept(
    unsubscribes: Unsubscribes, suppressions: Suppressions, queue: Queue, news: Sender
) -> None:
    await unsubscribes.apply(token(news))
    assert await kept(suppressions) == [Suppression("acme", "news", HASH, "unsubscribe", NOW_MS, None)]
    assert await listed(queue) == {"news": {HASH}}
    assert await listed(queue, "rival") == {}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_an_erased_person_can_unsubscribe_and_stays_erased(
    unsubscribes: Unsubscribes,
    suppressions: Suppressions,
    store: SqliteStore,
    queue: Queue,
    news: Sender,
    consumer: Consumer,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    await news.commit(1)
    await news.send(0)
    await record_all(consumer, queue)
    erasures = Erasures(store, [queue], AddressHasher(SECRET), Outbox(""), SystemClock())
    add = store.add_suppressions

    async def erased_before(rows: Sequence[Suppression]) -> list[bool]:
        await erasures.erase("acme", ADDRESS)
        return await add(rows)

    if when == "before":
        await erasures.erase("acme", ADDRESS)
    else:
        monkeypatch.setattr(store, "add_suppressions", erased_before)
    await unsubscribes.apply(token(news))
    assert await kept(suppressions) == [Suppression("acme", "news", HASH, "unsubscribe", NOW_MS, None)]
    assert await listed(queue) == {"news": {HASH}}
    await record_all(consumer, queue)
    document = await store.message("acme", news.message_id(0))
    assert document is None or document.head.address == ""


async def test_a_record_that_comes_later_has_the_event(
    unsubscribes: Unsubscribes, store: SqliteStore, queue: Queue, news: Sender, consumer: Consumer
) -> None:
    await unsubscribes.apply(token(news))
    await record_all(consumer, queue)
    await news.commit(1)
    await news.send(0)
    await record_all(consumer, queue)
    document = await store.message("acme", news.message_id(0))
    assert document is not None
    assert document.head.folded.state == "unsubscribed"


async def test_who_comes_back_by_hand_can_unsubscribe_again(
    unsubscribes: Unsubscribes, suppressions: Suppressions, queue: Queue, news: Sender
) -> None:
    await unsubscribes.apply(token(news))
    assert await suppressions.remove("acme", ADDRESS, stream="news") == 1
    assert await listed(queue) == {}
    await unsubscribes.apply(token(news))
    assert await listed(queue) == {"news": {HASH}}


async def test_simulator_addresses_have_the_event_and_are_never_suppressed(
    unsubscribes: Unsubscribes, suppressions: Suppressions, queue: Queue, news: Sender
) -> None:
    await unsubscribes.apply(token(news, "opened@simulator.example.com"))
    assert (await kept(suppressions), await listed(queue)) == ([], {})
    assert await queue.redis.xlen(queue.keys.outcomes) == 1


@pytest.mark.parametrize("text", ["", "nonsense", "A" * 100])
async def test_what_is_not_ours_changes_nothing(unsubscribes: Unsubscribes, queue: Queue, text: str) -> None:
    with pytest.raises(NotFoundError):
        unsubscribes.read(text)
    with pytest.raises(NotFoundError):
        await unsubscribes.apply(text)
    assert await queue.redis.xlen(queue.keys.outcomes) == 0
    assert await listed(queue) == {}


async def test_nobody_is_told_that_it_is_done_before_it_is(
    unsubscribes: Unsubscribes, store: SqliteStore, queue: Queue, news: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise StoreDownError

    async def away(*_: object) -> None:
        raise UnavailableError

    for owner, name, broken in ((store, "add_suppressions", down), (queue, "suppress", away), (queue, "receipt", away)):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, broken)
            with pytest.raises(UnavailableError):
                await unsubscribes.apply(token(news))
    await unsubscribes.apply(token(news))
    assert await listed(queue) == {"news": {HASH}}
