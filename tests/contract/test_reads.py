"""Contracts §8: reading and operating, as far as the tracker and the dispatcher answer it."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.tracker.v1 import tracker_pb2

from morpheus_kit.errors import InvalidInputError, UnavailableError
from tests.contract.stack import Stack

T1 = Timestamp(seconds=1_780_000_000, nanos=500_000_000)
STATES = {
    *("queued", "sending", "deferred", "uncertain", "rejected", "expired", "cancelled", "failed", "sent"),
    *("bounced", "delivered", "opened", "clicked", "unsubscribed", "complained"),
}


def message(**changes: Any) -> tracker_pb2.Message:
    values: dict[str, Any] = {
        "id": "m1",
        "group_id": "welcome-1",
        "company_code": "acme",
        "method": "test",
        "provider": "test",
        "stream": "transactional",
        "state": "bounced",
        "reason": tracker_pb2.Reason(code="bounced", text="Mailbox full."),
        "address": "ada@example.com",
        "first_name": "Ada",
        "subject": "Hi Ada",
        "text": "Hi",
        "html": '<p>Hi <a href="https://example.com/">there</a></p>',
        "tags": ["a"],
        "context": msgpack.packb({"order": "HB-1"}),
        "attachments": [tracker_pb2.AttachmentInfo(name="a.pdf", size=3, sha256="ab")],
        "external_id": "x1",
        "cost_micros": 45_500,
        "cost_currency": "GBP",
        "attempts": 1,
        "bounce_type": "soft",
        "accepted_at": T1,
        "bounced_at": T1,
        "events": [tracker_pb2.MessageEvent(id="e1", type="sent", time=T1, detail=msgpack.packb({"source": "us"}))],
        **changes,
    }
    return tracker_pb2.Message(**values)


def group(**changes: Any) -> tracker_pb2.Group:
    values: dict[str, Any] = {
        "group_id": "welcome-1",
        "company_code": "acme",
        "method": "test",
        "stream": "transactional",
        "tags": ["a"],
        "control": "running",
        "total": 10,
        "progress": tracker_pb2.Progress(waiting=4, sending=1, uncertain=0, ended=5),
        "counts": {"queued": 5, "sent": 5},
        "percent": 50.0,
        "rate": 2.5,
        "accepted_at": T1,
        "as_of": T1,
        "shared": msgpack.packb({"subject_template": "Hi", "context": {"a": 1}, "group_id": "not this"}),
        "operations": [tracker_pb2.Operation(type="paused", key_id="default", time=T1)],
        **changes,
    }
    return tracker_pb2.Group(**values)


@pytest.fixture
def full(stack: Stack) -> Stack:
    stack.tracker.groups.append(group())
    stack.tracker.messages.append(message())
    return stack


async def test_a_group(full: Stack) -> None:
    reply = await full.get("/v1/groups/welcome-1", company_code="acme")
    body = reply.json()
    counts = body.pop("counts")
    assert body == {
        "group_id": "welcome-1",
        "company_code": "acme",
        "method": "test",
        "stream": "transactional",
        "tags": ["a"],
        "control": "running",
        "reason": None,
        "total": 10,
        "progress": {"waiting": 4, "sending": 1, "uncertain": 0, "ended": 5},
        "percent": 50.0,
        "rate": 2.5,
        "eta": None,
        "accepted_at": "2026-05-28T20:26:40.500000Z",
        "finished_at": None,
        "as_of": "2026-05-28T20:26:40.500000Z",
        "operations": [{"type": "paused", "key_id": "default", "time": "2026-05-28T20:26:40.500000Z"}],
        "subject_template": "Hi",
        "context": {"a": 1},
    }
    assert set(counts) == STATES
    assert (counts["queued"], counts["sent"], counts["clicked"]) == (5, 5, 0)


async def test_groups_with_all_filters(full: Stack) -> None:
    filters = {"tag": "a", "method": "test", "from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00+02:00"}
    reply = await full.get("/v1/groups", company_code="acme", page_size=7, page_token="abc", **filters)
    assert [item["group_id"] for item in reply.json()["items"]] == ["welcome-1"]
    assert reply.json()["next_page_token"] == "more"
    (asked,) = full.tracker.asked
    assert (asked.company_code, asked.tag, asked.method) == ("acme", "a", "test")
    assert (asked.page_size, asked.page_token) == (7, "abc")
    assert getattr(asked, "from").seconds == 1_777_593_600
    assert asked.to.seconds == 1_780_264_800


async def test_an_unescaped_plus_in_a_time(full: Stack) -> None:
    await full.http.get(
        "/v1/groups?company_code=acme&from=2026-06-01T00:00:00+02:00", headers={"authorization": "Bearer default"}
    )
    assert getattr(full.tracker.asked[0], "from").seconds == 1_780_264_800


async def test_messages_with_all_filters(full: Stack) -> None:
    reply = await full.http.get(
        "/v1/messages?company_code=acme&q=ada&group_id=g&tag=a&tag=b&state=bounced&reason=bounced&method=test"
        "&stream=transactional&address=ada%40example.com&external_id=x1&from=2026-05-01T00:00:00Z"
        "&to=2026-06-01T00:00:00Z&page_size=200&page_token=abc",
        headers={"authorization": "Bearer default"},
    )
    assert reply.status_code == 200
    (asked,) = full.tracker.asked
    wanted = tracker_pb2.ListMessagesRequest(
        company_code="acme",
        query="ada",
        group_id="g",
        tags=["a", "b"],
        state="bounced",
        reason="bounced",
        method="test",
        stream="transactional",
        address="ada@example.com",
        external_id="x1",
        to=Timestamp(seconds=1_780_272_000),
        page_size=200,
        page_token="abc",
        **{"from": Timestamp(seconds=1_777_593_600)},
    )
    assert asked == wanted


DETAIL = {"text", "html", "context", "attachments", "events"}


async def test_an_item_is_the_detail_without_bodies_context_attachments_events(full: Stack) -> None:
    item = (await full.get("/v1/messages", company_code="acme")).json()["items"][0]
    detail = (await full.get("/v1/messages/m1", company_code="acme")).json()
    assert item == {name: value for name, value in detail.items() if name not in DETAIL}


async def test_a_message(full: Stack) -> None:
    body = (await full.get("/v1/messages/m1", company_code="acme")).json()
    time = "2026-05-28T20:26:40.500000Z"
    assert body == {
        "id": "m1",
        "group_id": "welcome-1",
        "company_code": "acme",
        "method": "test",
        "provider": "test",
        "stream": "transactional",
        "state": "bounced",
        "reason": {"code": "bounced", "text": "Mailbox full.", "docs": "docs/http-api.md#bounced"},
        "address": "ada@example.com",
        "first_name": "Ada",
        "last_name": "",
        "user_link": "",
        "subject": "Hi Ada",
        "text": "Hi",
        "html": '<p>Hi <a href="https://example.com/">there</a></p>',
        "tags": ["a"],
        "context": {"order": "HB-1"},
        "attachments": [{"name": "a.pdf", "size": 3, "sha256": "ab"}],
        "external_id": "x1",
        "cost": {"amount": "0.0455", "currency": "GBP"},
        "segments": None,
        "attempts": 1,
        "bounce_type": "soft",
        "events": [{"id": "e1", "type": "sent", "time": time, "detail": {"source": "us"}}],
        "accepted_at": time,
        "bounced_at": time,
        **dict.fromkeys(
            ("sent_at", "delivered_at", "opened_at", "clicked_at", "complained_at", "unsubscribed_at"), None
        ),
        "resend_of": None,
        "next_try_at": None,
    }


async def test_the_body_as_sent_is_shown_under_a_policy_and_inert(full: Stack) -> None:
    reply = await full.get("/v1/messages/m1/html", company_code="acme")
    assert reply.headers["content-type"].startswith("text/html")
    policy = reply.headers["content-security-policy"]
    for part in ("default-src 'none'", "img-src http: https: data:", "form-action 'none'", "sandbox"):
        assert part in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert "there" in reply.text
    assert "example.com" not in reply.text
    live = await full.get("/v1/messages/m1/html", company_code="acme", safe=0)
    assert live.text == full.tracker.messages[0].html
    assert "default-src 'none'" in live.headers["content-security-policy"]


async def test_events_are_the_same_body_until_the_group_is_finished(full: Stack) -> None:
    reply = await full.get("/v1/groups/welcome-1/events", company_code="acme")
    assert reply.headers["content-type"].startswith("text/event-stream")
    states = [json.loads(line.removeprefix("data: ")) for line in reply.text.split("\n\n") if line]
    assert [state["control"] for state in states] == ["running", "finished"]
    body = (await full.get("/v1/groups/welcome-1", company_code="acme")).json()
    assert states[0] == body


READS = ["/v1/groups/welcome-1", "/v1/groups/welcome-1/events", "/v1/groups", "/v1/messages", "/v1/messages/m1"]
READS += ["/v1/messages/m1/html", "/v1/messages.csv", "/v1/messages.ndjson", "/v1/stats", "/v1/costs", "/v1/events"]
OPERATIONS = [f"/v1/groups/welcome-1/{word}" for word in ("pause", "resume", "cancel")]


@pytest.mark.parametrize("path", READS)
async def test_reads_need_a_token_a_company_and_the_scope(full: Stack, path: str) -> None:
    assert (await full.http.get(path, params={"company_code": "acme"})).status_code == 401
    assert (await full.get(path, token="wrong", company_code="acme")).status_code == 401
    assert (await full.get(path)).status_code == 422
    assert (await full.get(path, company_code="rival")).status_code == 403
    assert (await full.get(path, token="sender", company_code="acme")).status_code == 403
    assert (await full.get(path, company_code="*")).status_code == 403
    assert (await full.get(path, company_code="acme", colour="red")).status_code == 422
    assert full.tracker.asked == []
    assert (await full.get(path, token="reader", company_code="acme")).status_code == 200
    assert (await full.get(path, token="admin", company_code="*")).status_code == 200


@pytest.mark.parametrize("path", OPERATIONS)
async def test_operations_need_a_token_one_company_and_the_scope(full: Stack, path: str) -> None:
    assert (await full.http.post(path, params={"company_code": "acme"})).status_code == 401
    assert (await full.operate(path)).status_code == 422
    assert (await full.operate(path, company_code="rival")).status_code == 403
    assert (await full.operate(path, token="reader", company_code="acme")).status_code == 403
    assert (await full.operate(path, token="admin", company_code="*")).status_code == 422
    assert full.dispatcher.asked == []
    assert (await full.operate(path, company_code="acme")).status_code == 200
    assert (full.dispatcher.asked[0].company_code, full.dispatcher.asked[0].key_id) == ("acme", "default")


async def test_what_belongs_to_another_company_is_not_found(full: Stack) -> None:
    for path in ("/v1/groups/welcome-1", "/v1/groups/welcome-1/events", "/v1/messages/m1", "/v1/messages/m1/html"):
        reply = await full.get(path, company_code="harbour")
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


async def test_pause_resume_cancel(full: Stack) -> None:
    async def operate(word: str) -> tuple[int, Any]:
        reply = await full.operate(f"/v1/groups/welcome-1/{word}", company_code="acme")
        return reply.status_code, reply.json()

    assert await operate("pause") == (200, {"control": "paused", "stopped": 7})
    assert await operate("pause") == (200, {"control": "paused", "stopped": 0})
    assert await operate("resume") == (200, {"control": "running", "stopped": 0})
    assert await operate("cancel") == (200, {"control": "cancelled", "stopped": 7})
    assert await operate("cancel") == (200, {"control": "cancelled", "stopped": 0})
    status, problem = await operate("resume")
    assert (status, problem["code"]) == (409, "conflict")
    reply = await full.operate("/v1/groups/none/pause", company_code="acme")
    assert reply.status_code == 404


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 201}, "page_size"),
        ({"page_size": "x"}, "page_size"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
        ({"state": "lost"}, "state"),
        ({"adress": "a@example.com"}, "adress"),
    ],
)
async def test_wrong_parameters_are_422_and_named(full: Stack, parameters: dict[str, Any], path: str) -> None:
    reply = await full.get("/v1/messages", company_code="acme", **parameters)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert reply.headers["content-type"] == "application/problem+json"
    assert [item["path"] for item in reply.json()["errors"]] == [path]


async def test_what_the_tracker_refuses_is_given_on(full: Stack) -> None:
    full.tracker.failure = InvalidInputError.of("q", "must have a letter or a digit")
    reply = await full.get("/v1/messages", company_code="acme", q="!")
    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "q")
    full.tracker.failure = UnavailableError("Not now.", retry_after=7)
    reply = await full.get("/v1/groups/welcome-1/events", company_code="acme")
    assert (reply.status_code, reply.headers["retry-after"], reply.json()["code"]) == (503, "7", "unavailable")


@pytest.mark.parametrize("path", ["/dashboard", "/nothing"])
async def test_what_is_not_built_is_404(stack: Stack, path: str) -> None:
    reply = await stack.get(path)
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


async def test_an_error_of_ours_says_nothing(full: Stack) -> None:
    full.tracker.messages[0].context = b"\xc1"
    reply = await full.get("/v1/messages/m1", company_code="acme")
    assert (reply.status_code, reply.json()["code"]) == (500, "internal")
    assert "msgspec" not in reply.text
