"""Contracts §1: who may post. Every refusal queues nothing and never tells what was expected."""

from __future__ import annotations

import pytest

from tests.contract.stack import SECOND_SECRET, SECRET, Stack, group, key_table, pack

BODY = pack(group())


async def test_signed_post_is_accepted(stack: Stack) -> None:
    assert (await stack.send(BODY)).status_code == 202


async def test_absent_key_header_means_default(stack: Stack) -> None:
    headers = stack.sign(BODY)
    del headers["morpheus-key"]
    reply = await stack.http.post(
        "/v1/groups", content=BODY, headers={**headers, "content-type": "application/msgpack"}
    )
    assert reply.status_code == 202


@pytest.mark.parametrize("secret", [SECRET, SECOND_SECRET])
async def test_each_active_secret_of_a_key_signs(stack: Stack, secret: str) -> None:
    assert (await stack.send(BODY, secret=secret, key_id="rotating")).status_code == 202


async def test_one_valid_signature_of_several_is_enough(stack: Stack) -> None:
    signature = stack.sign(BODY, webhook_id="a")["webhook-signature"]
    reply = await stack.send(BODY, {"webhook-signature": f"v1,AAAA {signature}"}, webhook_id="a")
    assert reply.status_code == 202


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"webhook-id": ""}, "webhook-id"),
        ({"webhook-id": "x" * 129}, "webhook-id"),
        ({"webhook-timestamp": ""}, "webhook-timestamp"),
        ({"webhook-timestamp": "1e9"}, "webhook-timestamp"),
        ({"webhook-timestamp": "1779999699"}, "webhook-timestamp"),
        ({"webhook-timestamp": "1780000301"}, "webhook-timestamp"),
        ({"webhook-timestamp": "1780000001"}, "webhook-signature"),
        ({"webhook-signature": ""}, "webhook-signature"),
        ({"webhook-signature": "v1,AAAA"}, "webhook-signature"),
        ({"webhook-id": "another"}, "webhook-signature"),
        ({"morpheus-key": "nobody"}, "morpheus-key"),
        ({"morpheus-key": ""}, "morpheus-key"),
    ],
)
async def test_what_fails_is_named(stack: Stack, changes: dict[str, str], named: str) -> None:
    reply = await stack.send(BODY, changes)
    assert reply.status_code == 401
    assert reply.json()["code"] == "unauthenticated"
    assert reply.json()["detail"].startswith(f"{named}: ")
    assert stack.sign(BODY)["webhook-signature"] not in reply.text
    assert await stack.queued() == []


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_missing_headers(stack: Stack, name: str) -> None:
    headers = {**stack.sign(BODY), "content-type": "application/msgpack"}
    del headers[name]
    reply = await stack.http.post("/v1/groups", content=BODY, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["detail"].startswith(f"{name}: ")


async def test_a_header_that_comes_twice_is_refused(stack: Stack) -> None:
    headers = [*stack.sign(BODY).items(), ("content-type", "application/msgpack"), ("webhook-id", "second")]
    reply = await stack.http.post("/v1/groups", content=BODY, headers=headers)
    assert reply.status_code == 401


async def test_another_body_than_the_signed_one(stack: Stack) -> None:
    signed = {**stack.sign(BODY), "content-type": "application/msgpack"}
    reply = await stack.http.post("/v1/groups", content=BODY + b" ", headers=signed)
    assert reply.status_code == 401


async def test_signature_for_another_path(stack: Stack) -> None:
    assert (await stack.send(BODY, target="POST /v1/preview")).status_code == 401


async def test_the_signature_is_judged_before_the_body(stack: Stack) -> None:
    reply = await stack.send(b"\xc1 not msgpack", {"webhook-signature": "v1,AAAA"})
    assert reply.status_code == 401


@pytest.mark.parametrize("seconds", [-300, 300])
async def test_the_window_is_five_minutes_either_way(stack: Stack, seconds: int) -> None:
    headers = stack.sign(BODY)
    stack.clock.advance(seconds)
    assert (await stack.send(BODY, headers)).status_code == 202


async def test_a_company_that_the_key_may_not_use(stack: Stack) -> None:
    reply = await stack.post(company_code="rival")
    assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
    assert await stack.queued() == []


async def test_a_key_for_all_companies(stack: Stack) -> None:
    assert (await stack.send(pack(group(company_code="rival")), key_id="admin")).status_code == 202


async def test_a_sender_domain_that_the_key_may_not_use(stack: Stack) -> None:
    reply = await stack.send(BODY, key_id="books")
    assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
    assert await stack.queued() == []


async def test_a_sender_domain_that_the_key_may_use(stack: Stack) -> None:
    body = pack(group(from_address="Books <orders@Books.Example.com>"))
    assert (await stack.send(body, key_id="books")).status_code == 202


async def test_a_key_without_the_scope_send(stack: Stack) -> None:
    reply = await stack.send(BODY, key_id="reader")
    assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")


async def test_a_changed_key_file_counts_at_once(stack: Stack) -> None:
    stack.key_file.write_text(key_table("fresh", secrets=[SECOND_SECRET]))
    assert (await stack.send(BODY)).status_code == 401
    assert (await stack.send(BODY, secret=SECOND_SECRET, key_id="fresh")).status_code == 202
