"""The whole stack with Elasticsearch as its record store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from elasticsearch import AsyncElasticsearch
from morpheus.tracker.v1 import tracker_pb2 as pb

from benchmarks import bare, sample
from benchmarks.node import Node
from benchmarks.scenarios import records
from benchmarks.stack import Stack
from morpheus_kit.queue.connection import open_redis
from morpheus_kit.queue.keys import TRACKERS
from morpheus_kit.queue.scripts import Queue
from tests.elasticsearch.proxy import NOTHING, Fault, Proxy, running_proxy
from tests.integration.tracker.rig import Sender, until
from tests.measured import check
from tests.outage import SETTINGS, live_through
from tests.trackers import running_tracker
from tests.valkey import running_valkey

MESSAGES = 100


@pytest.fixture(autouse=True)
async def clean(client: AsyncElasticsearch) -> AsyncIterator[None]:
    """These tests have the indices of production for themselves, one after the other."""
    yield
    for index in await client.indices.get(index="morpheus-*,copied-morpheus-*,made-morpheus-*"):
        await client.indices.delete(index=index)
    await client.options(ignore_status=404).indices.delete_index_template(name="morpheus")


@pytest.mark.timeout(120)
async def test_group_goes_through_the_stack_and_is_found(
    tmp_path: Path, node_url: str, client: AsyncElasticsearch
) -> None:
    with Stack(tmp_path, {"MORPHEUS_RECORDS_URL": node_url, "MORPHEUS_RECORDS_REPLICAS": "0"}) as stack:
        status, reply, _ = stack.send("welcome", 30)
        assert status == 202, reply
        stack.wait_finished("welcome", 60)
        group = stack.group("welcome")
        assert (group["control"], group["total"], sum(group["counts"].values())) == ("finished", 30, 30)
        assert group["template_versions"]
        page = stack.get("/v1/messages", group_id="welcome", page_size="20")
        rest = stack.get("/v1/messages", group_id="welcome", page_size="20", page_token=page["next_page_token"])
        assert len({item["id"] for item in [*page["items"], *rest["items"]]}) == 30
        message = stack.get(f"/v1/messages/{page['items'][0]['id']}")
        assert message["html"]
        assert message["events"]
    found = await client.count(index="morpheus-2*", query={"term": {"company_code": sample.COMPANY}})
    assert found["count"] == 31


@pytest.mark.timeout(180)
async def test_outages_stop_the_sending_and_lose_nothing(
    tmp_path: Path, node_url: str, client: AsyncElasticsearch
) -> None:
    """Down, then rejecting, then read-only, and well again: one after the other, while messages flow."""
    with running_proxy(node_url) as proxy:
        settings = SETTINGS | {"MORPHEUS_RECORDS_URL": proxy.url, "MORPHEUS_RECORDS_REPLICAS": "0"}
        with Stack(tmp_path, settings) as stack:
            await asyncio.to_thread(
                live_through,
                stack,
                proxy.down,
                lambda: _answers_nothing(stack),
                partial(_break, proxy, Fault(503)),
                partial(_break, proxy, Fault(every_second_item=429)),
                partial(_set_block, node_url, value=True),
                lambda: _break(proxy, NOTHING),
                end=partial(_set_block, node_url, value=None),
            )


@pytest.mark.timeout(120)
async def test_two_processes_that_write_the_same_records_at_once_lose_nothing(tmp_path: Path, node_url: str) -> None:
    """Every entry stands twice in the stream, the later events of a message in entries of their own."""
    with running_valkey(tmp_path) as redis_url:
        async with open_redis(redis_url) as redis:
            queue = Queue(redis, 0, replicas=0, aof_always=True)
            await queue.prepare()
            sender = Sender(queue)
            await sender.commit(MESSAGES)
            more = {"MORPHEUS_RECORDS_REPLICAS": "0"}
            async with (
                running_tracker(redis_url, node_url, more) as first,
                running_tracker(redis_url, node_url, more) as second,
            ):
                for kinds in (("sent",), ("delivered",), ("opened", "clicked")):
                    for index in range(0, MESSAGES, 10):
                        for _ in range(2):
                            await sender.send(*range(index, index + 10), kinds=kinds)
                consumers = await redis.xinfo_consumers(queue.keys.outcomes, TRACKERS)
                await until(lambda: redis.xlen(queue.keys.outcomes), lambda length: length == 0)
                assert len(consumers) == 2
                assert all(each["inactive"] >= 0 for each in consumers), "one of them read nothing"
                for tracker in (first, second):
                    await _assert_recorded(tracker.stub, sender)
            assert await redis.xlen(queue.keys.dead) == 0


@pytest.mark.timeout(180)
async def test_the_benchmark_of_records_writes_and_asks(node_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a small form."""
    monkeypatch.setattr(records, "ROUND", 500)
    monkeypatch.setattr(bare, "_REQUEST", 100)  # the client warns of larger bodies
    figures = await asyncio.to_thread(records.measure_elasticsearch, Node(node_url), 1_000, 250, 4)
    check(figures, messages=1_000, bare=500)


async def _assert_recorded(stub: Any, sender: Sender) -> None:
    async def ask() -> Any:
        return (await stub.GetGroup(pb.GetGroupRequest(company_code="acme", group_id="june"))).group

    # A search may see that a message was clicked before it sees that it was sent: another tracker wrote that later.
    group = await until(ask, lambda group: (group.counts["clicked"], group.control) == (MESSAGES, "finished"))
    assert (group.total, sum(group.counts.values())) == (MESSAGES, MESSAGES)
    for index in range(MESSAGES):
        asked = pb.GetMessageRequest(company_code="acme", id=sender.message_id(index))
        message = (await stub.GetMessage(asked)).message
        assert [each.type for each in message.events] == ["queued", "sent", "delivered", "opened", "clicked"]
        assert message.html == f"<p>Order {index}</p>"


def _answers_nothing(stack: Stack) -> None:
    with pytest.raises(RuntimeError, match="503"):
        stack.group("during")


def _break(proxy: Proxy, fault: Fault) -> None:
    if proxy.is_down:
        proxy.up()
    proxy.fault = fault


def _set_block(node: str, *, value: bool | None) -> None:
    """What a node does to its indices when its disk is full, and takes back."""
    body = json.dumps({"index.blocks.read_only_allow_delete": value}).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(f"{node}/morpheus-2*/_settings", body, headers, method="PUT"), timeout=20) as answer:
        assert answer.status == 200
