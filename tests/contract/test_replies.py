"""Contracts §1: what a post is answered, and that a refused one queues nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from morpheus_kit.signing import decode_secret
from tests.contract.stack import SECRET, START_MS, Stack, group, pack

MIXED = [
    {"address": "ada@example.com"},
    {"address": "nonsense"},
    {"address": "ADA@example.com"},
    {"address": "zoë@example.com"},
    {"address": "delivered+1@simulator.example.com"},
]


async def test_202_says_what_was_accepted(stack: Stack) -> None:
    reply = await stack.post(part=2, recipients=MIXED)
    assert reply.status_code == 202
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    links = body.pop("links")
    rejected = body.pop("rejected")
    assert body == {
        "group_id": "welcome-1",
        "part": 2,
        "total": 5,
        "accepted": 3,
        "duplicates": 1,
        "replayed": False,
    }
    assert [(item["index"], item["address"], item["reason"]["code"]) for item in rejected] == [
        (1, "nonsense", "address_invalid"),
        (3, "zoë@example.com", "address_invalid"),
    ]
    assert all(item["reason"]["text"] for item in rejected)
    assert links["group"] == "https://mail.example.com/v1/groups/welcome-1?company_code=acme"
    assert links["messages"] == "https://mail.example.com/v1/messages?company_code=acme&group_id=welcome-1"
    assert links["dashboard"].startswith("https://mail.example.com/dashboard?")


async def test_the_dashboard_link_is_signed_for_an_hour(stack: Stack) -> None:

    link = (await stack.post()).json()["links"]["dashboard"]
    query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    assert query["expires"] == str(START_MS // 1000 + 3600)
    mac = hmac.digest(decode_secret(SECRET), f"acme.default.{query['expires']}".encode(), "sha256")
    assert query["signature"] == base64.urlsafe_b64encode(mac).decode().rstrip("=")
    assert query["company_code"] == "acme"
    assert query["key"] == "default"


async def test_a_key_that_may_not_read_gets_no_dashboard_link(stack: Stack) -> None:
    reply = await stack.send(pack(group()), key_id="sender")
    assert reply.json()["links"]["dashboard"] is None


async def test_a_post_of_nothing_but_impossible_addresses_is_accepted(stack: Stack) -> None:
    body = (await stack.post(recipients=[{"address": "nonsense"}])).json()
    assert (body["total"], body["accepted"]) == (1, 0)


async def test_the_same_body_again_is_200_with_the_same_reply(stack: Stack) -> None:
    body = pack(group(recipients=MIXED))
    first = await stack.send(body)
    queued = await _contents(stack)
    second = await stack.send(body)
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json() == {**first.json(), "replayed": True}
    assert await _contents(stack) == queued


async def test_a_replay_is_answered_before_limits_are_judged(stack: Stack) -> None:
    body = pack(group(send_at="2026-06-01T00:00:00Z"))
    assert (await stack.send(body, key_id="slow")).status_code == 202
    assert (await stack.send(pack(group(group_id="b")), key_id="slow")).status_code == 202
    assert (await stack.send(pack(group(group_id="c")), key_id="slow")).status_code == 429
    stack.clock.advance(365 * 86400)
    await stack.redis.config_set("maxmemory", 1_000_000)
    try:
        reply = await stack.send(pack(group(group_id="d")))
        assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
    finally:
        await stack.redis.config_set("maxmemory", 500_000_000)
    assert (await stack.send(body, key_id="slow")).status_code == 200


async def test_a_replay_may_be_signed_anew(stack: Stack) -> None:
    body = pack(group())
    await stack.send(body)
    stack.clock.advance(86_400)
    assert (await stack.send(body, webhook_id="another")).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"recipients": [{"address": "other@example.com"}]},
        {"subject_template": "Other"},
        {"recipients": [{"first_name": "Ada", "address": "ada@example.com"}, {"address": "zoe@example.com"}]},
    ],
)
async def test_the_same_part_with_other_bytes_is_409(stack: Stack, changes: dict[str, Any]) -> None:
    await stack.post()
    reply = await stack.post(**changes)
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


async def test_parts_with_the_same_shared_information(stack: Stack) -> None:
    shared = {
        "context": {"a": 1, "b": {"c": 2, "d": 3}},
        "tags": ["x"],
        "headers": {"X-A": "1", "X-B": "2"},
        "parts": 2,
    }
    assert (await stack.post(part=0, **shared)).status_code == 202
    turned = dict(reversed(list(group(part=1, **{**shared, "context": {"b": {"d": 3, "c": 2}, "a": 1}}).items())))
    assert (await stack.send(pack(turned))).status_code == 202
    assert await stack.redis.hget("morpheus:{0}:group:acme/welcome-1", "total") == b"4"


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": 3},
        {"parts": None},
        {"context": {"a": 2}},
        {"context": {"a": "1"}},
        {"tags": ["y", "x"]},
        {"headers": {"X-A": "2"}},
        {"from_address": "other@acme.example.com"},
        {"subject_template": "Other"},
        {"inner_template": "other.html"},
        {"outer_template": "other.html"},
        {"reply_to": "a@example.com"},
        {"priority": "high"},
        {"method": "smtp"},
        {"send_at": "2026-06-01T00:00:00Z"},
        {"expires_at": "2026-06-02T00:00:00Z"},
        {"missing_variables": "empty"},
        {"on_uncertain": "resend"},
    ],
    ids=str,
)
async def test_parts_with_other_shared_information_are_409(stack: Stack, changes: dict[str, Any]) -> None:
    shared = {"context": {"a": 1}, "tags": ["x", "y"], "headers": {"X-A": "1"}, "parts": 2}
    assert (await stack.post(part=0, **shared)).status_code == 202
    reply = await stack.post(part=1, **{**shared, **changes})
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


async def test_a_part_for_a_cancelled_group_is_409(stack: Stack) -> None:
    await stack.post(part=0)
    await stack.redis.hset("morpheus:{0}:group:acme/welcome-1", "control", "cancelled")
    reply = await stack.post(part=1)
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert "cancelled" in reply.json()["detail"]


async def test_a_part_for_a_long_finished_group_is_409(stack: Stack) -> None:
    await stack.post(part=0)
    await stack.redis.delete("morpheus:{0}:group:acme/welcome-1")
    reply = await stack.post(part=1)
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert "finished" in reply.json()["detail"]


async def test_above_the_keys_rate_is_429_with_the_time_to_wait(stack: Stack) -> None:
    for name in ("a", "b"):
        assert (await stack.send(pack(group(group_id=name)), key_id="slow")).status_code == 202
    reply = await stack.send(pack(group(group_id="c")), key_id="slow")
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (429, "throttled", "30")
    stack.clock.advance(30)
    assert (await stack.send(pack(group(group_id="c")), key_id="slow")).status_code == 202


async def test_a_queue_that_does_not_answer_is_503(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:

    async def fail(*_: object, **__: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(type(stack.redis), "execute_command", fail)
    monkeypatch.setattr("morpheus_kit.queue.intake_steps.IntakeSteps.read_idem", fail)
    reply = await stack.post()
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
    assert int(reply.headers["retry-after"]) >= 1


async def test_refusals_are_problems_with_a_request_id(stack: Stack) -> None:
    reply = await stack.post(colour="red")
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "colour: unknown key",
        "code": "invalid_request",
        "request_id": reply.headers["x-request-id"],
        "errors": [{"path": "colour", "reason": "unknown key"}],
    }


async def test_an_upload_that_is_refused_late_leaves_only_what_goes_away_by_itself(stack: Stack) -> None:
    recipients: list[dict[str, Any]] = [{"address": f"a{number}@example.com"} for number in range(1001)]
    recipients[1000]["first_name"] = 5
    assert (await stack.post(recipients=recipients)).status_code == 422
    assert await stack.queued() == []
    left = [name async for name in stack.redis.scan_iter("*staging*")]
    assert len(left) <= 1
    for name in left:
        assert 0 < await stack.redis.ttl(name) <= 3600


async def test_the_digest_of_the_reply_is_that_of_the_body(stack: Stack) -> None:
    body = pack(group())
    await stack.send(body)
    stored: Any = await stack.redis.get("morpheus:{0}:idem:acme/welcome-1/0")
    assert stored.split(b" ")[0] == hashlib.sha256(body).hexdigest().encode()


async def _contents(stack: Stack) -> dict[bytes, bytes | None]:
    return {name: await stack.redis.dump(name) for name in await stack.queued()}


@pytest.mark.parametrize("changes", [{"priority": "x"}, {"subject_template": "Other"}, {"method": "ses"}])
async def test_an_early_refusal_of_a_large_post_arrives_whole(stack: Stack, changes: dict[str, Any]) -> None:
    recipients = [{"address": f"a{number}@example.com", "context": {"x": "y" * 50}} for number in range(5000)]
    assert (await stack.post()).status_code == 202
    for _ in range(10):
        reply = await stack.post(recipients=recipients, **changes)
        assert reply.status_code in {409, 422}, reply.text
