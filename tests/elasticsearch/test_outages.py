"""The cluster is away, slow, full, or refuses: nothing is lost, and what is written afterwards is written once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from elasticsearch import AsyncElasticsearch

from morpheus_kit.clock import ManualClock
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.elastic_client import ClusterOptions
from services.tracker.store.elastic_writer import TOGETHER
from tests.conformance.samples import T0, Records, event, group, message_id, record
from tests.elasticsearch.proxy import NOTHING, Fault, Proxy, running_proxy

_SECONDS = 1.0
_MESSAGES = 10
_PAGE = "<html>Back soon</html>"

FAULTS = {
    "lost-answers": Fault(lost=True),
    "429": Fault(429),
    "503": Fault(503),
    "503-of-a-proxy": Fault(503, _PAGE),
    "404-of-a-proxy": Fault(404, _PAGE),
    "403": Fault(403),
    "429-of-documents": Fault(every_second_item=429),
    "503-of-documents": Fault(every_second_item=503),
}
BLOCKS = ("write", "read_only", "read_only_allow_delete")


@pytest.fixture
def proxy(node_url: str) -> Iterator[Proxy]:
    with running_proxy(node_url) as running:
        yield running


@pytest.fixture
def behind(options: ClusterOptions, proxy: Proxy) -> ClusterOptions:
    """The same indices, through the proxy, by a user whose password must not be told."""
    url = proxy.url.replace("//", "//morpheus:s3cret@")
    return replace(options, url=url)


@pytest.fixture
async def store(behind: ClusterOptions) -> AsyncIterator[ElasticsearchStore]:
    """What `records` writes to."""
    store = ElasticsearchStore(behind, ManualClock(T0 + 10_000))
    await store.start()
    yield store
    await store.stop()


def batch() -> Outcome:
    indexes = range(_MESSAGES)
    return Outcome([group(total=_MESSAGES)], [record(each) for each in indexes], [event(each) for each in indexes])


def later() -> Outcome:
    """For documents that are there already."""
    return Outcome([], [], [event(each, "delivered", source="test", at=T0 + 9) for each in range(_MESSAGES)])


async def refused(call: Callable[[], Awaitable[object]], times: int = 2) -> None:
    """As the consumer does: the same again, and again."""
    for _ in range(times):
        with pytest.raises(StoreDownError) as caught:
            await call()
        assert "s3cret" not in str(caught.value)


async def assert_whole(records: Records, state: str) -> None:
    row = await records.store.group("acme", "june")
    assert row is not None
    assert (row.total, row.counts, row.settled) == (_MESSAGES, {state: _MESSAGES}, _MESSAGES)
    assert len(await records.listed()) == _MESSAGES
    for index in range(_MESSAGES):
        assert (await records.message(index)).head.folded.events[0].type == "sent"


@pytest.mark.parametrize("name", FAULTS)
async def test_batch_is_written_once_when_the_fault_is_over(records: Records, proxy: Proxy, name: str) -> None:
    await records.write(Outcome([group(group_id="before")]))
    for outcome, state in ((batch(), "sent"), (later(), "delivered")):
        proxy.fault = FAULTS[name]
        await refused(lambda written=outcome: records.store.write(written))  # type: ignore[misc]
        proxy.fault = NOTHING
        assert await records.write(outcome) == []
        await assert_whole(records, state)


@pytest.mark.filterwarnings("ignore:Sending a large body directly")  # some milliseconds of the loop, for a thousand
async def test_one_of_several_requests_fails_when_the_others_are_done(records: Records, proxy: Proxy) -> None:
    many = 2 * TOGETHER + 500
    outcome = Outcome(
        [group(total=many)], [record(each) for each in range(many)], [event(each) for each in range(many)]
    )
    proxy.fault = Fault(503, about=message_id(many - 1).encode())
    for _ in range(2):
        await refused(lambda: records.store.write(outcome), 1)
        assert await sent(records) == 2 * TOGETHER
    proxy.fault = NOTHING
    await records.write(outcome)
    assert await sent(records) == many
    told, cursor = set[str](), ""
    while page := await records.store.changes("acme", cursor, 1_000):
        told |= {each.message_id for each in page}
        cursor = page[-1].cursor
    assert len(told) == many


async def sent(records: Records) -> int:
    """How many are recorded as sent now."""
    await records.reveal()
    row = await records.store.group("acme", "june")
    assert row is not None
    return row.counts["sent"]


async def test_node_that_is_slow_is_given_up_and_what_it_did_late_counts_once(
    records: Records, behind: ClusterOptions, proxy: Proxy
) -> None:
    impatient = ElasticsearchStore(replace(behind, request_seconds=_SECONDS), ManualClock(T0))
    await records.write(Outcome([group(total=_MESSAGES)]))
    await impatient.start()
    proxy.fault = Fault(seconds=1.5 * _SECONDS)
    await refused(lambda: impatient.write(batch()))
    await refused(lambda: impatient.group("acme", "june"), 1)
    proxy.fault = NOTHING
    await impatient.stop()
    await records.write(batch())
    await assert_whole(records, "sent")


async def test_node_that_is_down_is_waited_for(records: Records, proxy: Proxy) -> None:
    await records.write(Outcome([group(group_id="before")]))
    proxy.down()
    await refused(lambda: records.store.write(batch()))
    await refused(lambda: records.store.group("acme", "june"))
    proxy.up()
    await records.write(batch())
    await assert_whole(records, "sent")


@pytest.mark.parametrize("block", BLOCKS)
async def test_index_that_is_read_only_is_waited_for(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions, behind: ClusterOptions, block: str
) -> None:
    """`read_only_allow_delete` is what a node sets whose disk is full. A tracker may start meanwhile, and answers."""
    await records.write(batch())
    index, setting = f"{options.prefix}-2026-06", f"index.blocks.{block}"
    await client.indices.put_settings(index=index, settings={setting: True})
    second = ElasticsearchStore(behind, ManualClock(T0))
    await second.start()
    for store in (records.store, second):
        await refused(lambda each=store: each.write(later()))  # type: ignore[misc]
    await assert_whole(records, "sent")
    await client.indices.put_settings(index=index, settings={setting: None})
    await second.write(later())
    await records.write(later())
    await second.stop()
    await assert_whole(records, "delivered")


async def test_index_that_was_deleted_is_made_again(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    await records.write(batch())
    await client.indices.delete(index=f"{options.prefix}-2026-06")
    for outcome in (Outcome([group(total=_MESSAGES)]), batch()):
        try:
            await records.write(outcome)
        except StoreDownError:
            await records.write(outcome)
    await assert_whole(records, "sent")


async def test_index_that_lacks_a_field_gets_it(
    records: Records, client: AsyncElasticsearch, options: ClusterOptions
) -> None:
    """As one does that was restored from an older snapshot: no document is refused for it."""
    index = f"{options.prefix}-2026-06"
    await records.write(Outcome([group(total=_MESSAGES)]))
    await client.indices.delete(index=index)
    template = (await client.indices.get_index_template(name=options.prefix))["index_templates"][0]["index_template"]
    mappings = template["template"]["mappings"]
    older = {name: kind for name, kind in mappings["properties"].items() if name != "attempts"}
    await client.indices.delete_index_template(name=options.prefix)
    await client.indices.create(index=index, mappings={**mappings, "properties": older})
    with pytest.raises(StoreDownError, match="attempts"):
        await records.write(batch())
    assert await records.write(batch()) == []
    await assert_whole(records, "sent")


async def test_batch_that_is_too_large_for_a_request_is_written_in_parts(records: Records, proxy: Proxy) -> None:
    """A proxy before the cluster may take less than it; only a document that is too large alone is stripped."""
    large = record(_MESSAGES, html="".join(message_id(each) for each in range(2_000)))
    await records.write(Outcome([group(total=_MESSAGES + 1)]))
    proxy.fault = Fault(largest=4_000)
    whole = batch()
    refusals = await records.write(Outcome([], [*whole.messages, large], [*whole.events, event(_MESSAGES)]))
    assert [each.record for each in refusals] == [large]
    row = await records.store.group("acme", "june")
    assert row is not None
    assert row.counts == {"sent": _MESSAGES + 1}
    found = await records.message(_MESSAGES)
    assert (bool(found.head.error), found.head.folded.state) == (True, "sent")
    assert (await records.message(0)).head.error == ""
