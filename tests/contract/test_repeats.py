"""Contracts §8: messages sent again from what they were made of."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from morpheus.tracker.v1 import tracker_pb2

from morpheus_kit import ids
from morpheus_kit.errors import ConflictError, NotFoundError, UnavailableError
from morpheus_kit.queue.elements import unpack_element
from morpheus_kit.queue.outcomes import unpack_outcome
from morpheus_kit.queue.schema import QueuedMessage, SharedInfo, pack, unpack_message, unpack_shared
from tests.contract.stack import Stack

OLD = [ids.message_id("acme", "june", 0, index) for index in range(3)]
RESEND, RETRY = f"/v1/messages/{OLD[0]}/resend", "/v1/groups/june/retry"


def inputs(*indexes: int, **changes: Any) -> tracker_pb2.ReadInputsResponse:
    shared = {"company_code": "acme", "method": "test", "send_at_ms": 5, "parts": 3, "tags": ["summer"], **changes}
    shared |= {"stream": "newsletter", "unsubscribe": True}
    info = SharedInfo(1, group_id="june", provider_method="test", inner_template="a.html", **shared)
    made = [QueuedMessage(1, OLD[index], index, 0, 7, f"p{index}@example.com", tags=["t"]) for index in indexes]
    return tracker_pb2.ReadInputsResponse(shared=pack(info), messages=[pack(each) for each in made])


async def ask(stack: Stack, path: str, key: str | None = "k1", token: str = "default", **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}", **({"idempotency-key": key} if key else {})}
    parameters = more.pop("params", {"company_code": "acme"})
    return await stack.http.post(path, params=parameters, headers=headers, **more)


async def queued(stack: Stack, group_id: str) -> list[QueuedMessage]:
    redis: Any = stack.redis
    elements = await redis.lrange(f"morpheus:{{0}}:pending:acme/{group_id}/0", 0, -1)
    return [unpack_message(unpack_element(element).blob) for element in elements]


async def test_a_message_is_sent_again_as_a_new_one(stack: Stack) -> None:
    stack.tracker.inputs = [inputs(0)]
    reply = await ask(stack, RESEND)
    assert reply.status_code == 202
    body = reply.json()
    assert body["id"] == ids.message_id("acme", body["group_id"], 0, 0)
    (message,) = await queued(stack, body["group_id"])
    assert (message.id, message.resend_of, message.address) == (body["id"], OLD[0], "p0@example.com")
    assert (message.tags, message.accepted_at_ms) == (["t"], stack.clock.now_ms())
    assert (stack.tracker.asked[0].company_code, stack.tracker.asked[0].message_id) == ("acme", OLD[0])
    redis: Any = stack.redis
    shared = unpack_shared(await redis.hget(f"morpheus:{{0}}:group:acme/{body['group_id']}", "shared"))
    assert (shared.group_id, shared.send_at_ms, shared.parts, shared.tags) == (body["group_id"], 0, 1, ["summer"])
    assert (shared.stream, shared.unsubscribe) == ("newsletter", True)
    assert await redis.hget(f"morpheus:{{0}}:group:acme/{body['group_id']}", "stream") == b"newsletter"
    ((_, fields),) = await redis.xrange("morpheus:{0}:outcomes")
    outcome = unpack_outcome(fields)
    assert [(each.shared.group_id, each.total) for each in outcome.groups] == [(body["group_id"], 1)]
    operation = outcome.group_events[0]
    assert (operation.group_id, operation.type, operation.key_id) == ("june", "resent", "default")


async def test_messages_of_a_group_are_sent_again(stack: Stack) -> None:
    stack.tracker.inputs = [inputs(0, 1), inputs(2)]
    reply = await ask(stack, RETRY, json={"states": ["failed", "bounced"], "reasons": ["bounced"]})
    assert (reply.status_code, reply.json()["total"]) == (202, 3)
    made = await queued(stack, reply.json()["group_id"])
    assert [(each.index, each.resend_of) for each in made] == list(enumerate(OLD))
    (asked,) = stack.tracker.asked
    assert (asked.group_id, list(asked.states), list(asked.reasons)) == ("june", ["bounced", "failed"], ["bounced"])


async def test_the_same_key_is_answered_the_same_and_another_body_with_it_is_a_conflict(stack: Stack) -> None:
    stack.tracker.inputs = [inputs(0, 1)]
    first = await ask(stack, RETRY)
    stack.tracker.inputs = [inputs(2)]
    assert (await ask(stack, RETRY)).json() == first.json()
    assert (await ask(stack, RETRY, json={"states": ["failed"]})).json() == first.json()
    stack.tracker.failure = NotFoundError("It is not kept any more.")
    again = await ask(stack, RETRY)
    assert (again.status_code, again.json()) == (202, first.json())
    stack.tracker.failure = None
    other = await ask(stack, RETRY, json={"states": ["bounced"]})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert len(await queued(stack, first.json()["group_id"])) == 2
    assert (await ask(stack, RETRY, "k2")).json()["group_id"] != first.json()["group_id"]
    without = [(await ask(stack, RETRY, None)).json()["group_id"] for _ in range(2)]
    assert len(set(without)) == 2


@pytest.mark.parametrize("path", [RESEND, RETRY])
async def test_what_the_records_refuse_is_given_on_and_nothing_is_queued(stack: Stack, path: str) -> None:
    for failure, status in ((NotFoundError("No."), 404), (ConflictError("Not kept."), 409)):
        stack.tracker.failure = failure
        reply = await ask(stack, path)
        assert (reply.status_code, reply.json()["detail"]) == (status, failure.message)
    stack.tracker.failure = None
    stack.tracker.inputs, stack.tracker.break_off = [inputs(0)], UnavailableError("Not now.", retry_after=1)
    assert (await ask(stack, path)).status_code == 503
    stack.tracker.inputs, stack.tracker.break_off = [inputs(0, method="sms", company_code="rival")], None
    assert (await ask(stack, path)).status_code == 422
    assert await stack.queued() == []


@pytest.mark.parametrize("path", [RESEND, RETRY])
async def test_who_may_not_operate_is_refused(stack: Stack, path: str) -> None:
    stack.tracker.inputs = [inputs(0)]
    assert (await ask(stack, path, token="wrong")).status_code == 401
    assert (await ask(stack, path, token="reader")).status_code == 403
    assert (await ask(stack, path, params={"company_code": "rival"})).status_code == 403
    assert (await ask(stack, path, token="admin", params={"company_code": "*"})).status_code == 422
    assert (await ask(stack, path, key="k\t")).status_code == 422
    assert stack.tracker.asked == []


async def test_a_body_that_is_none_is_named(stack: Stack) -> None:
    for content in (b"[", b'{"state": ["failed"]}', b'{"states": "failed"}'):
        reply = await ask(stack, RETRY, content=content)
        assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "body")
