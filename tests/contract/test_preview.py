"""Contracts §8: `POST /v1/preview` judges like a post, renders like a send, and writes nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from morpheus.intake.v1 import intake_pb2, intake_pb2_grpc
from redis.asyncio import Redis

from morpheus_kit import signing
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from morpheus_kit.unsubscribe import sample_url
from services.renderer.app import build
from services.renderer.config import Config
from tests.contract.stack import Stack, group, pack, running

TEMPLATES = {
    "letter.html": "<html><body>{{ content }}</body></html>",
    "order.html": '<p style="color: red">Order {{ number }}</p><a href="http://example.com/{{ number }}">See</a>',
    "order.txt": "Order {{ number }}",
}


@pytest.fixture
async def renderer(tmp_path: Path) -> AsyncIterator[str]:
    """Address of a real renderer with one worker."""
    folder = tmp_path / "templates"
    folder.mkdir()
    for name, source in TEMPLATES.items():
        (folder / name).write_text(source)
    unit = build(Config(renderer_addr="127.0.0.1:0", render_workers=1, templates_url=folder.as_uri()))
    server = next(part for part in unit.parts if isinstance(part, RpcServer))
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(unit.serve(stopping))
        while not server.port:
            await asyncio.sleep(0.01)
        yield f"127.0.0.1:{server.port}"
        stopping.set()


@pytest.fixture
async def rendering(redis: Redis, redis_url: str, tmp_path: Path, renderer: str) -> AsyncIterator[Stack]:
    """Everything that answers a preview."""
    async with running(redis, redis_url, tmp_path, renderer) as made:
        yield made


def person(number: Any, **fields: Any) -> dict[str, Any]:
    context = {} if number is None else {"number": number}
    return {"address": "ada@example.com", "context": context} | fields


async def everything(redis: Redis) -> dict[bytes, Any]:
    """Every key of Redis with its value."""
    return {name: await redis.dump(name) async for name in redis.scan_iter()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_messages_of_a_stream_show_a_link_as_long_as_theirs_that_leads_nowhere(rendering: Stack) -> None:
    subject = "{% if unsubscribe_url %}{{ unsubscribe_url }}{% endif %}"
    for stream in ("newsletter", "transactional"):
        reply = await rendering.preview(recipients=[person(1)], subject_template=subject, stream=stream)
        assert reply.status_code == 200, reply.text
        expected = sample_url("https://mail.example.com", "acme", stream) if stream == "newsletter" else ""
        assert [each["subject"] for each in reply.json()["samples"]] == [expected]


async def test_a_post_is_rendered_and_nothing_is_written(rendering: Stack) -> None:
    assert (await rendering.post(group_id="before")).status_code == 202
    redis, home = await everything(rendering.redis), files(rendering.home)
    pdf = {"name": "a.pdf", "html": "<p>An invoice</p>"}
    people = [
        person(0, pdf_attachments=[pdf], s3_attachments=[{"path": "order.txt"}]),
        person(1, address="nonsense"),
        person(None),
        person(3, s3_attachments=[{"path": "gone.pdf"}]),
        *(person(number) for number in range(4, 10)),
    ]
    reply = await rendering.preview(recipients=people, subject_template="Order {{ number }}")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert list(body) == ["errors", "segments", "cost", "warnings", "samples"]
    assert [(each["index"], each["reason"]["code"]) for each in body["errors"]] == [
        (1, "address_invalid"),
        (2, "variable_missing"),
        (3, "attachment_missing"),
    ]
    assert body["errors"][2]["reason"]["docs"] == "docs/http-api.md#attachment_missing"
    assert (body["segments"], body["cost"]) == (0, None)
    [warning] = body["warnings"]
    assert (warning["code"], warning["count"], warning["index"]) == ("http_link", 7, 0)
    assert [each["index"] for each in body["samples"]] == [0, 4, 5, 6, 7]
    first = body["samples"][0]
    assert (first["subject"], first["text"]) == ("Order 0", "Order 0")
    assert '<p style="color: red">Order 0</p>' in first["html"]
    assert [each["name"] for each in first["attachments"]] == ["a.pdf", "order.txt"]
    assert first["attachments"][0]["size"] > 500
    assert (await everything(rendering.redis), files(rendering.home)) == (redis, home)
    assert rendering.tracker.asked == []
    assert (await rendering.post(recipients=people)).status_code == 202, "a preview takes no name of a group"


async def test_texts_are_counted_and_priced(rendering: Stack) -> None:
    text = {"method": "sms", "from_address": "ACME", "outer_template": ..., "subject_template": ...}
    numbers = [
        person("7" * 200, address="07700 900123"),
        person("ü", address="+4915112345678"),
        person(1, address="+1"),
    ]
    body = (await rendering.preview(recipients=numbers, inner_template="order.txt", **text)).json()
    assert [each["reason"]["code"] for each in body["errors"]] == ["address_invalid"]
    assert body["segments"] == 3
    assert body["cost"] == {"amount": "0.165", "currency": "EUR"}
    assert [each["text"] for each in body["samples"]] == ["Order " + "7" * 200, "Order ü"]
    assert body["samples"][0]["html"] == ""


@pytest.mark.parametrize(("method", "amount"), [("mandrill", "0.003"), ("email", "0.0003"), ("smtp", None)])
async def test_emails_are_priced_by_the_method_that_would_send_them(
    rendering: Stack, method: str, amount: str | None
) -> None:
    body = (await rendering.preview(method=method, recipients=[person(n) for n in range(3)])).json()
    assert body["cost"] == (amount and {"amount": amount, "currency": "EUR"})


async def test_a_large_preview_comes_in_slices(rendering: Stack) -> None:
    body = (await rendering.preview(recipients=[person(n or None) for n in range(1203)])).json()
    assert [each["index"] for each in body["errors"]] == [0]
    assert [each["index"] for each in body["samples"]] == [1, 2, 3, 4, 5]
    assert body["warnings"][0]["count"] == 1202


async def test_a_template_that_is_not_there_is_an_error_of_each_recipient(rendering: Stack) -> None:
    body = (await rendering.preview(inner_template="gone.html")).json()
    assert [(each["index"], each["reason"]["code"]) for each in body["errors"]] == [
        (0, "template_missing"),
        (1, "template_missing"),
    ]
    assert body["samples"] == []


async def test_a_direct_call_is_previewed(rendering: Stack) -> None:
    chunk = pack([person(1), person(2)])
    fields = group(content_sha256=hashlib.sha256(chunk).digest(), recipients=...)
    header = intake_pb2.GroupHeader(**fields)

    async def messages() -> AsyncIterator[intake_pb2.PreviewGroupRequest]:
        yield intake_pb2.PreviewGroupRequest(header=header)
        yield intake_pb2.PreviewGroupRequest(chunk=intake_pb2.RecipientChunk(recipients=chunk))

    metadata = tuple(rendering.sign(chunk, target=signing.RPC_PREVIEW).items())
    async with open_channel(rendering.intake_address) as channel:
        stub: intake_pb2_grpc.IntakeServiceAsyncStub = intake_pb2_grpc.IntakeServiceStub(channel)
        reply = await stub.PreviewGroup(messages(), metadata=metadata, timeout=20)
    assert [sample.text for sample in reply.samples] == ["Order 1", "Order 2"]


@pytest.mark.parametrize(
    ("changes", "status", "code", "path"),
    [
        ({"cost_limit": "1"}, 422, "not_supported", "cost_limit"),
        ({"priority": "soon"}, 422, "invalid_request", "priority"),
        ({"group_id": "a b"}, 422, "invalid_request", "group_id"),
        ({"recipients": []}, 422, "invalid_request", "recipients"),
        ({"recipients": [{"address": "a@b.de", "tags": [""]}]}, 422, "invalid_request", "recipients[0].tags[0]"),
        ({"outer_template": ...}, 422, "invalid_request", "outer_template"),
        ({"company_code": "strangers"}, 403, "forbidden", None),
    ],
)
async def test_what_a_post_would_be_refused_for_is_refused(
    stack: Stack, changes: dict[str, Any], status: int, code: str, path: str | None
) -> None:
    preview, post = await stack.preview(**changes), await stack.post(**changes)
    assert (preview.status_code, preview.json()["code"]) == (status, code)
    assert [each["path"] for each in preview.json().get("errors", [])] == ([path] if path else [])
    without = {"request_id"}
    assert {key: value for key, value in preview.json().items() if key not in without} == {
        key: value for key, value in post.json().items() if key not in without
    }


async def test_a_signature_is_good_for_its_own_path_only(stack: Stack) -> None:
    body = pack(group())
    assert (await stack.send(body, path="/v1/preview")).status_code == 401
    assert (await stack.send(body, target=signing.HTTP_PREVIEW)).status_code == 401
    assert (await stack.send(body, path="/v1/preview", target=signing.HTTP_PREVIEW, key_id="reader")).status_code == 403


async def test_previews_count_for_the_rate_of_a_key(stack: Stack) -> None:
    body = pack(group())
    replies = [await stack.send(body, path="/v1/preview", target=signing.HTTP_PREVIEW, key_id="slow") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503, 503, 429]
    assert replies[0].json()["code"] == "unavailable", "there is no renderer here"
