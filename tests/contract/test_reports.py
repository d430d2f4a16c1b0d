"""Contracts §8: statistics, costs, the feed of events, the list as a file."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.tracker.v1 import tracker_pb2

from gateway.routes import exports
from morpheus_kit.errors import InvalidInputError, UnavailableError
from tests.contract.stack import Stack
from tests.contract.test_reads import T1, message

DAY = Timestamp(seconds=1_779_926_400)


async def test_statistics(stack: Stack) -> None:
    rates = tracker_pb2.Rates(delivered=0.5, bounced=0)
    stack.tracker.statistics = [
        tracker_pb2.Statistics(bucket=DAY, total=4, counts={"sent": 2, "delivered": 2}, rates=rates),
        tracker_pb2.Statistics(bucket=DAY, method="test", tag="a", total=1),
    ]
    reply = await stack.get(
        "/v1/stats",
        company_code="acme",
        interval="hour",
        group_by="method,tag",
        **{"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"},
    )
    first, second = reply.json()["items"]
    counts = first.pop("counts")
    assert (counts["sent"], counts["failed"], sum(counts.values())) == (2, 0, 4)
    unknown = dict.fromkeys(("opened", "clicked", "complained", "unsubscribed"))
    assert first == {
        "bucket": "2026-05-28T00:00:00Z",
        "total": 4,
        "rates": {"delivered": 0.5, "bounced": 0.0, **unknown},
    }
    assert (second["method"], second["tag"], second["rates"]["bounced"]) == ("test", "a", None)
    (asked,) = stack.tracker.asked
    assert (asked.company_code, asked.interval, list(asked.group_by)) == ("acme", "hour", ["method", "tag"])
    assert (getattr(asked, "from").seconds, asked.to.seconds) == (1_777_593_600, 1_777_680_000)


async def test_costs(stack: Stack) -> None:
    stack.tracker.costs = [tracker_pb2.Cost(key="sms", messages=3, cost_micros=136_500, currency="GBP")]
    reply = await stack.get("/v1/costs", company_code="acme", group_by="method")
    cost = {"amount": "0.1365", "currency": "GBP"}
    assert reply.json() == {"items": [{"key": "sms", "messages": 3, "cost": cost}]}
    assert stack.tracker.asked[0].group_by == "method"


def event(number: int, **more: Any) -> tracker_pb2.FeedEvent:
    ids: dict[str, Any] = {"message_id": f"m{number}", "group_id": "g", "company_code": "acme"}
    return tracker_pb2.FeedEvent(cursor=f"c{number}", type="sent", state="sent", time=T1, **ids, **more)


async def test_events_follow_the_cursor(stack: Stack) -> None:
    stack.tracker.events = [event(1, reason=tracker_pb2.Reason(code="bounced", text="Back.")), event(2), event(3)]
    reply = (await stack.get("/v1/events", company_code="acme", after="c0", limit=2)).json()
    assert reply["next"] == "c2"
    assert reply["items"][0] == {
        "cursor": "c1",
        "message_id": "m1",
        "group_id": "g",
        "company_code": "acme",
        "type": "sent",
        "state": "sent",
        "time": "2026-05-28T20:26:40.500000Z",
        "reason": {"code": "bounced", "text": "Back.", "docs": "docs/http-api.md#bounced"},
    }
    assert (stack.tracker.asked[0].after, stack.tracker.asked[0].limit) == ("c0", 2)
    stack.tracker.events = []
    assert (await stack.get("/v1/events", company_code="acme", after="c3")).json() == {"items": [], "next": "c3"}


@pytest.mark.parametrize(
    ("path", "parameters", "field"),
    [
        ("/v1/stats", {"interval": "week"}, "interval"),
        ("/v1/costs", {"group_by": "colour"}, "group_by"),
        ("/v1/events", {"limit": 1001}, "limit"),
        ("/v1/events", {"limit": 0}, "limit"),
        ("/v1/messages.csv", {"page_size": 5}, "page_size"),
        ("/v1/messages.ndjson", {"state": "lost"}, "state"),
    ],
)
async def test_wrong_parameters_are_named(stack: Stack, path: str, parameters: dict[str, Any], field: str) -> None:
    reply = await stack.get(path, company_code="acme", **parameters)
    assert (reply.status_code, [each["path"] for each in reply.json()["errors"]]) == (422, [field])


async def test_what_the_tracker_refuses_is_an_ordinary_answer(stack: Stack) -> None:
    stack.tracker.failure = InvalidInputError.of("q", "must have a letter or a digit")
    for path in ("/v1/stats", "/v1/costs", "/v1/events", "/v1/messages.csv", "/v1/messages.ndjson"):
        reply = await stack.get(path, company_code="acme")
        assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "q")


async def test_csv_has_the_fields_of_an_item_and_runs_nothing(stack: Stack) -> None:
    stack.tracker.messages = [
        message(subject='=HYPERLINK("x")', first_name='Ada, "the"\nfirst', tags=["a", "+b"], last_name="@x"),
        message(address="+447700900123", user_link="\tx", cost_micros=0, reason=None, segments=2),
    ]
    reply = await stack.get("/v1/messages.csv", company_code="acme", tag="a")
    assert reply.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert list(stack.tracker.asked[0].filter.tags) == ["a"]
    first, second = csv.DictReader(io.StringIO(reply.content.decode(), newline=""), strict=True)
    items = (await stack.get("/v1/messages", company_code="acme")).json()["items"]
    assert list(first) == list(items[0])
    assert (first["subject"], first["first_name"]) == ('\'=HYPERLINK("x")', 'Ada, "the"\nfirst')
    assert (first["tags"], first["last_name"]) == ("a;'+b", "'@x")
    assert json.loads(first["reason"]) == items[0]["reason"]
    assert json.loads(first["cost"]) == {"amount": "0.0455", "currency": "GBP"}
    assert (first["accepted_at"], first["sent_at"], first["segments"]) == (items[0]["accepted_at"], "", "")
    assert (second["address"], second["user_link"], second["segments"]) == ("'+447700900123", "'\tx", "2")
    assert second["reason"] == ""
    assert reply.content.endswith(b"\r\n")


async def test_an_empty_list_is_a_header(stack: Stack) -> None:
    reply = await stack.get("/v1/messages.csv", company_code="acme")
    assert reply.content == exports.header()
    assert (await stack.get("/v1/messages.ndjson", company_code="acme")).content == b""


async def test_ndjson_has_an_item_a_line(stack: Stack) -> None:
    stack.tracker.messages = [message(), message(id="m2")]
    reply = await stack.get("/v1/messages.ndjson", company_code="acme")
    items = (await stack.get("/v1/messages", company_code="acme")).json()["items"]
    assert [json.loads(line) for line in reply.text.splitlines()] == items


async def received(stack: Stack, path: str) -> int:
    """How many bytes the application sends; httpx would gather them."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"company_code=acme",
        "headers": [(b"authorization", b"Bearer default")],
        "http_version": "1.1",
    }
    size, ended = 0, False

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(part: dict[str, Any]) -> None:
        nonlocal size, ended
        size += len(part.get("body", b""))
        ended = part["type"] == "http.response.body" and not part.get("more_body", False)

    transport: Any = stack.http._transport
    await transport.app(scope, receive, send)
    assert ended
    return size


async def test_an_export_that_breaks_off_does_not_look_whole(stack: Stack) -> None:
    stack.tracker.messages, stack.tracker.break_off = [message()], UnavailableError("Not now.")
    with pytest.raises(RuntimeError, match="response already started"):  # the server then closes the connection
        await received(stack, "/v1/messages.csv")


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
async def test_an_export_of_any_size_takes_little_memory(stack: Stack, kind: str) -> None:
    """20,000 rows through the gateway: all of them at once would be 10 MB of text, and more as objects."""
    stack.tracker.messages = [message(id=f"m{number}", user_link="https://" + "x" * 100) for number in range(500)]
    stack.tracker.exported = 40
    tracemalloc.start()
    try:
        size = await received(stack, f"/v1/messages.{kind}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 7_000_000
    assert peak < size / 2


async def test_the_process_answers_head_too(stack: Stack) -> None:
    assert (await stack.http.head("/healthz")).status_code == 200
