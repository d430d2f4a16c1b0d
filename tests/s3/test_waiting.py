"""The whole stack with its templates in S3: what is missing fails by name, a store that is away is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack
from tests.s3.gateway import Bucket, Proxy, credentials

pytestmark = pytest.mark.timeout(180)
SECONDS = 60.0
OUTAGE_SECONDS = 6.0  # longer than all pauses of the dispatcher between two tries


@asynccontextmanager
async def stack_over(folder: Path, proxy: Proxy, bucket: Bucket, **environment: str) -> AsyncIterator[Stack]:
    """A stack whose templates are below `mail/` in the bucket."""
    for path in sample.TEMPLATES.iterdir():
        await bucket.put(f"mail/bench/{path.name}", path.read_bytes())
    settings = {
        "MORPHEUS_TEMPLATES_URL": f"s3://{bucket.name}/mail",
        "MORPHEUS_S3_ENDPOINT_URL": proxy.url,
        "MORPHEUS_LEASE": "3",
        **credentials(),
        **environment,
    }
    stack = Stack(folder, settings)
    await asyncio.to_thread(stack.__enter__)
    try:
        yield stack
    finally:
        await asyncio.to_thread(stack.__exit__)


async def post(stack: Stack, group_id: str, count: int = 3, **changes: Any) -> tuple[int, dict[str, Any]]:
    recipients = changes.pop("recipients", None) or [sample.recipient(index) for index in range(count)]
    body = msgpack.packb({**sample.group(group_id, 0), "recipients": recipients, **changes})
    status, reply, _ = await asyncio.to_thread(stack.post, body)
    return status, reply


async def finished(stack: Stack, group_id: str) -> dict[str, Any]:
    """The messages of the group at its end, by address."""
    await asyncio.to_thread(stack.wait_finished, group_id, SECONDS)
    found = await asyncio.to_thread(stack.get, "/v1/messages", group_id=group_id)
    return {item["address"]: item for item in found["items"]}


async def counts(stack: Stack, group_id: str) -> dict[str, int]:
    group = await asyncio.to_thread(stack.group, group_id)
    return {name: count for name, count in group["counts"].items() if count}


def with_file(index: int, path: str) -> dict[str, Any]:
    return {**sample.recipient(index), "s3_attachments": [{"path": path}]}


async def until_asked(proxy: Proxy, times: int) -> None:
    """Until the proxy has broken so many requests."""
    deadline = time.monotonic() + SECONDS
    while len([request for request in proxy.seen if request.status in {0, 503}]) < times:
        assert time.monotonic() < deadline, "nobody asks the store"
        await asyncio.sleep(0.05)


async def test_templates_and_attachments_come_from_the_store(
    proxy: Proxy, versioned: Bucket, plain: Bucket, tmp_path: Path
) -> None:
    await versioned.put("mail/terms.pdf", b"%PDF-terms")
    await plain.put("other.txt", b"other")
    async with stack_over(tmp_path, proxy, versioned, MORPHEUS_S3_BUCKETS=plain.name) as stack:
        files = [{"path": "terms.pdf"}, {"path": f"s3://{plain.name}/other.txt", "name": "Other.txt"}]
        recipients = [{**sample.recipient(0), "s3_attachments": files}, with_file(1, "missing.pdf")]
        status, reply = await post(stack, "files", recipients=recipients)
        assert status == 202, reply
        sent, rejected = sorted((await finished(stack, "files")).values(), key=lambda item: item["state"] == "rejected")

        assert (sent["state"], rejected["state"]) == ("delivered", "rejected")
        assert rejected["reason"]["code"] == "attachment_missing"
        assert "missing.pdf" in rejected["reason"]["text"]
        detail = await asyncio.to_thread(stack.message, sent["id"])
        assert [(item["name"], item["size"]) for item in detail["attachments"]] == [("terms.pdf", 10), ("Other.txt", 5)]

        status, reply = await post(stack, "elsewhere", outer_template="s3://unlisted/outer.html")
        assert (status, reply["code"]) == (422, "invalid_request"), reply

        status, _ = await post(stack, "gone", inner_template=f"s3://{plain.name}/gone.html")
        assert status == 202
        messages = await finished(stack, "gone")
        assert {item["state"] for item in messages.values()} == {"rejected"}
        assert {item["reason"]["code"] for item in messages.values()} == {"template_missing"}
        assert all(f"s3://{plain.name}/gone.html" in item["reason"]["text"] for item in messages.values())


@pytest.mark.parametrize("fault", ["slow_down", "reset"])
async def test_group_waits_for_its_templates(proxy: Proxy, versioned: Bucket, tmp_path: Path, fault: str) -> None:
    async with stack_over(tmp_path, proxy, versioned) as stack:
        proxy.fault = fault
        status, _ = await post(stack, "early")
        assert status == 202
        await until_asked(proxy, 3)
        await asyncio.sleep(OUTAGE_SECONDS)
        assert await counts(stack, "early") == {"queued": 3}
        proxy.fault = ""
        messages = await finished(stack, "early")
        assert [item["state"] for item in messages.values()] == ["delivered"] * 3


async def test_messages_wait_for_their_attachments_and_others_go_on(
    proxy: Proxy, versioned: Bucket, tmp_path: Path
) -> None:
    await versioned.put("mail/terms.pdf", b"%PDF-terms")
    async with stack_over(tmp_path, proxy, versioned) as stack:
        proxy.fault, proxy.only = "slow_down", "terms.pdf"
        status, _ = await post(stack, "waits", recipients=[with_file(index, "terms.pdf") for index in range(5)])
        assert status == 202
        await until_asked(proxy, 2)
        await asyncio.sleep(OUTAGE_SECONDS)
        assert await counts(stack, "waits") == {"queued": 5}
        await post(stack, "goes")
        assert {item["state"] for item in (await finished(stack, "goes")).values()} == {"delivered"}
        proxy.fault = ""
        messages = await finished(stack, "waits")
        assert [item["state"] for item in messages.values()] == ["delivered"] * 5
        details = [await asyncio.to_thread(stack.message, item["id"]) for item in messages.values()]
        assert [detail["attempts"] for detail in details] == [1] * 5, "waiting is no attempt"
