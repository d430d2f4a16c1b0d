"""The API that every fake has under /_fake/."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from fakes.mandrill import Mandrill
from fakes.smtp import Smtp
from morpheus_kit.config import KNOWN_NAMES

SEND = "/api/1.0/messages/send.json"


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Talks to the fake."""
    async with Mandrill.serve() as fake, aiohttp.ClientSession(base_url=fake.url) as client:
        yield client


def message(address: str, **metadata: str) -> dict[str, Any]:
    """A call of messages/send."""
    return {"key": "k", "message": {"from_email": "f@example.com", "to": [{"email": address}], "metadata": metadata}}


async def test_messages_are_found_by_address_and_metadata(client: aiohttp.ClientSession) -> None:
    for name in ("a", "b", "c"):
        await client.post(SEND, json=message(f"{name}@example.com", ref=name, group="g"))
    for query, addresses in {
        "": "abc",
        "?address=B@example.com": "b",
        "?metadata.ref=c": "c",
        "?metadata.group=g&offset=1&limit=1": "b",
        "?metadata.ref=none": "",
    }.items():
        found = await (await client.get(f"/_fake/messages{query}")).json()
        assert "".join(item["address"][0] for item in found["items"]) == addresses, query
    brief = await (await client.get("/_fake/messages?brief=1")).json()
    assert brief["total"] == 3
    assert "content" not in brief["items"][0]


async def test_ordered_fault_is_done_as_often_as_ordered(client: aiohttp.ClientSession) -> None:
    order = {"match": "*@example.com", "fault": "429.5", "times": 1}
    assert (await client.post("/_fake/faults", json=order)).status == 201
    first = await client.post(SEND, json=message("a@example.com"))
    assert (first.status, first.headers["Retry-After"]) == (429, "5")
    assert (await client.post(SEND, json=message("a@example.com"))).status == 200
    assert (await (await client.get("/_fake/faults")).json())["items"][0]["left"] == 0
    calls = await (await client.get("/_fake/calls?status=429")).json()
    assert [(call["addresses"], call["fault"]) for call in calls["items"]] == [(["a@example.com"], "429.5")]


@pytest.mark.parametrize("order", [{"fault": "explode"}, {"fault": "500", "times": 0}, [], "x"])
async def test_bad_order_is_refused(client: aiohttp.ClientSession, order: Any) -> None:
    response = await client.post("/_fake/faults", json=order)
    assert response.status == 400
    assert "error" in await response.json()


async def test_slow_message_is_taken_though_the_caller_gave_up(client: aiohttp.ClientSession) -> None:
    with pytest.raises(TimeoutError):
        await client.post(SEND, json=message("fault+latency.300@example.com"), timeout=aiohttp.ClientTimeout(total=0.1))
    assert (await (await client.get("/_fake/messages")).json())["total"] == 0
    async with asyncio.timeout(5):
        while (await (await client.get("/_fake/messages")).json())["total"] == 0:
            await asyncio.sleep(0.01)


async def test_event_is_made_to_happen(client: aiohttp.ClientSession) -> None:
    sent = await (await client.post(SEND, json=message("fault+silent@example.com"))).json()
    assert (await client.post("/_fake/events", json={"id": sent[0]["_id"], "event": "bounced"})).status == 202
    [item] = (await (await client.get("/_fake/messages")).json())["items"]
    assert (item["state"], item["events"]) == ("bounced", ["bounced"])
    for wrong in ({"id": "none", "event": "bounced"}, {"id": sent[0]["_id"], "event": "exploded"}):
        assert (await client.post("/_fake/events", json=wrong)).status == 400


async def test_reset_forgets_all_but_where_webhooks_go(client: aiohttp.ClientSession) -> None:
    await client.put("/_fake/webhook", json={"url": "http://127.0.0.1:1/"})
    await client.post(SEND, json=message("a@example.com"))
    await client.post("/_fake/faults", json={"fault": "500"})
    assert (await client.get("/_fake/webhooks?wait=5")).status == 200
    assert (await client.delete("/_fake/")).status == 200
    summary = await (await client.get("/_fake/")).json()
    assert summary["counts"] == {"messages": 0, "calls": 0, "webhooks": 0}
    assert summary["webhook_url"] == "http://127.0.0.1:1/"
    assert (await client.post(SEND, json=message("a@example.com"))).status == 200


async def test_command_starts_every_fake_and_ends_well() -> None:
    command = [sys.executable, "-m", "fakes", "--json", "--port-base", "0", "--webhooks", "http://127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert list(told) == ["mandrill", "ses", "twilio", "bird", "smtp"]
        names = {name for fake in told.values() for name in fake["environment"]}
        assert {name.removeprefix("MORPHEUS_") for name in names if name.startswith("MORPHEUS_")} <= KNOWN_NAMES
        assert told["bird"]["webhooks"] == "http://127.0.0.1:1/webhooks/bird"
        async with aiohttp.ClientSession() as client:
            for name, fake in told.items():
                assert (await (await client.get(fake["api"])).json())["fake"] == name
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


async def test_stop_does_not_wait_for_calls_that_hang() -> None:
    fake, relay = Mandrill(), Smtp()
    await fake.start()
    await relay.start()
    hanging = asyncio.create_task(post(fake.url))
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"HELO a\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<fault+hang@example.com>\r\nDATA\r\n\r\n.\r\n")
    while not (fake.calls and relay.calls):
        await asyncio.sleep(0.001)
    async with asyncio.timeout(3):
        await relay.stop()
        await fake.stop()
        with pytest.raises(aiohttp.ClientError):
            await hanging
        with pytest.raises(ConnectionResetError):
            await reader.read()
    writer.close()


async def post(url: str) -> None:
    """A call that hangs."""
    async with aiohttp.ClientSession(url) as client:
        await client.post(SEND, json=message("fault+hang@example.com"))
