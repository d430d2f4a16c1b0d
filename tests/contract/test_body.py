"""Contracts §1: one well-formed msgpack map of bounded size and depth, refused in bounded memory when it is not."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.stack import MAX_BODY, Stack, group, pack


def with_entry(key: str, packed: bytes, **changes: Any) -> bytes:
    """A group's map with one more entry whose value is given packed."""
    plain = pack(group(**changes))
    count = plain[0] & 0x0F
    return bytes([0x80 | count + 1]) + plain[1:] + pack(key) + packed


def nested(levels: int) -> bytes:
    return b"\x81\xa1a" * (levels - 1) + b"\x80"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"not msgpack at all",
        pack([group()]),
        pack("text"),
        pack(None),
        pack(group()) + b"\x00",
        pack(group()) + pack(group()),
        pack(group())[:-1],
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xaarecipients\xdd\xff\xff\xff\xff",
        b"\x81\xaarecipients\xdb\xff\xff\xff\xff",
        b"\x81\xdb\xff\xff\xff\xffkey",
        b"\x81\xa7context\xc6\xff\xff\xff\xff",
        b"\x81\xa7context\xc9\xff\xff\xff\xff\x05",
        b"\x81" + b"\x81" * 5000,
        with_entry("context", nested(64)),
        with_entry("context", nested(5000)),
        with_entry("unknown", nested(100)),
        with_entry("context", b"\x81\xa1a\xa1\xff"),
        with_entry("reply_to", b"\xa1\xff"),
        with_entry("context", b"\x81\xa1a\xc1"),
    ],
)
async def test_what_is_not_one_well_formed_map_is_400(stack: Stack, body: bytes) -> None:
    reply = await stack.send(body)
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed_body")
    assert await stack.queued() == []


async def test_64_levels_are_accepted(stack: Stack) -> None:
    assert (await stack.send(with_entry("context", nested(63)))).status_code == 202


async def test_recipients_are_nested_too(stack: Stack) -> None:
    deep: Any = {}
    for _ in range(61):
        deep = {"a": deep}
    reply = await stack.post(recipients=[{"address": "a@example.com", "context": deep}])
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed_body")


async def test_of_a_repeated_key_the_last_one_counts(stack: Stack) -> None:
    reply = await stack.send(with_entry("group_id", pack("the-last")))
    assert (reply.status_code, reply.json()["group_id"]) == (202, "the-last")


async def test_the_shape_of_an_earlier_repetition_does_not_count(stack: Stack) -> None:
    reply = await stack.send(with_entry("group_id", pack("the-last"), group_id=5))
    assert (reply.status_code, reply.json()["group_id"]) == (202, "the-last")


async def test_repeated_recipients(stack: Stack) -> None:
    reply = await stack.send(with_entry("recipients", pack([{"address": "only@example.com"}])))
    assert (reply.status_code, reply.json()["total"]) == (202, 1)


@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-msgpack", "text/plain"])
async def test_other_content_types_are_415(stack: Stack, content_type: str) -> None:
    reply = await stack.send(pack(group()), {"content-type": content_type})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")


async def test_compressed_bodies_are_415(stack: Stack) -> None:
    reply = await stack.send(pack(group()), {"content-encoding": "gzip"})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/msgpack", "Application/MsgPack", "application/msgpack; x=y"])
async def test_the_content_type_is_read_as_http_reads_it(stack: Stack, content_type: str) -> None:
    assert (await stack.send(pack(group()), {"content-type": content_type})).status_code == 202


async def test_an_announced_body_above_the_limit_is_413(stack: Stack) -> None:
    reply = await stack.send(bytes(MAX_BODY + 1))
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


async def test_a_streamed_body_above_the_limit_is_413(stack: Stack) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(MAX_BODY // 10)

    headers = {"content-type": "application/msgpack", **stack.sign(b"")}
    reply = await stack.http.post("/v1/groups", content=endless(), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


async def test_a_body_of_exactly_the_limit_is_read(stack: Stack) -> None:
    room = MAX_BODY - len(pack(group(context={"filling": b"".ljust(70_000).decode()}))) + 70_000
    body = pack(group(context={"filling": "x" * room}))
    assert len(body) == MAX_BODY
    assert (await stack.send(body)).status_code == 202


@pytest.mark.parametrize(
    ("packed", "path"),
    [
        (struct.pack(">BBd", 0xA1, ord("a"), 0)[:2] + struct.pack(">Bd", 0xCB, float("nan")), "context.a"),
        (b"\xa1a\xcb\x7f\xf0\0\0\0\0\0\0", "context.a"),
        (b"\xa1a\xc4\x01x", "context.a"),
        (b"\xa1a\xd4\x05x", "context.a"),
        (b"\x05\xa1x", "context"),
    ],
)
async def test_values_that_a_context_may_not_hold(stack: Stack, packed: bytes, path: str) -> None:
    reply = await stack.send(with_entry("context", b"\x81" + packed))
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert reply.json()["errors"][0]["path"] == path
    body = pack(group(recipients=...))
    body = bytes([body[0] + 1]) + body[1:]
    body += pack("recipients") + b"\x91\x82\xa7address\xa5a@b.c\xa7context\x81" + packed
    assert (await stack.send(body)).json()["errors"][0]["path"] == f"recipients[0].{path}"
    assert await stack.queued() == []


async def test_values_that_a_context_may_hold(stack: Stack) -> None:
    timestamp = b"\xd6\xff" + struct.pack(">I", 1_780_000_000)
    integers = b"\xcf" + b"\xff" * 8 + b"\xd3\x80" + bytes(7)
    packed = b"\x81\xa1a\x99\xc0\xc2\xc3\x05\xcb" + struct.pack(">d", 1.5) + b"\xa1x" + timestamp + integers
    assert (await stack.send(with_entry("context", packed))).status_code == 202
