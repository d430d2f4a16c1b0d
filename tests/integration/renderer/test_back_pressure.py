"""Callers that do not read, and callers that ask for too much: the others go on, and memory stays bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.errors import ThrottledError
from morpheus_kit.rpc.status import from_rpc_error
from services.renderer.backlog import Backlog
from tests.integration.renderer.rig import Renderer, Start, codes

MIB = 1024 * 1024
HEAVY = 24


SMALL_WINDOW = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65536),
    ("grpc.use_local_subchannel_pool", 1),
]
"""Else the library reads ahead for its caller, some calls to their end, and how far is up to the machine."""


class SlowReader:
    """Calls of one group with 24 MiB of attachments each, whose answers are read only on demand."""

    def __init__(self, renderer: Renderer, group_id: str) -> None:
        options = [("grpc.max_receive_message_length", -1), *SMALL_WINDOW]
        channel = grpc.aio.insecure_channel(renderer.address, options=options)
        self._stub: renderer_pb2_grpc.RendererServiceAsyncStub = renderer_pb2_grpc.RendererServiceStub(channel)
        self.channel = channel
        group = renderer_pb2.GroupContent(
            group_id=group_id, outer_template="outer.html", inner_template="plain.html", subject_template="Hi"
        )
        self._request = renderer_pb2.RenderMessagesRequest(group=group)
        for index in range(HEAVY):
            message = self._request.messages.add(id=f"m{index}", address="ada@example.com")
            message.stored_attachments.add(path="large.bin")

    def call(self) -> Any:
        return self._stub.RenderMessages(self._request, timeout=120)

    async def read(self, call: Any) -> list[str]:
        ids = []
        while (chunk := await call.read()) is not grpc.aio.EOF:
            for message in chunk.messages:
                assert [len(each.content) for each in message.attachments] == [MIB]
                ids.append(message.id)
        return ids


@pytest.fixture
async def backlogs(monkeypatch: pytest.MonkeyPatch) -> list[Backlog]:
    """Those that renderers of this test have."""
    made: list[Backlog] = []
    real = Backlog.__init__

    def init(self: Backlog, *args: Any) -> None:
        real(self, *args)
        made.append(self)

    monkeypatch.setattr(Backlog, "__init__", init)
    return made


async def prepared(start: Start, **settings: Any) -> Renderer:
    renderer: Renderer = await start(**settings)
    renderer.write("plain.html", "Hello")
    renderer.write("large.bin", bytes(MIB))
    return renderer


async def test_callers_that_do_not_read_keep_no_worker_from_others(start: Start, backlogs: list[Backlog]) -> None:
    renderer = await prepared(start)
    slow = SlowReader(renderer, "slow")
    calls = [slow.call() for _ in range(4)]
    firsts = [await call.read() for call in calls]
    for _ in range(3):
        [answer] = await renderer.render({}, inner_template="plain.html", group_id="quick")
        assert answer.text == "Hello"
    [held] = backlogs
    assert 0 < held.bytes < len(calls) * 6 * MIB, "no more than one order a call"
    for call, first in zip(calls, firsts, strict=True):
        ids = [message.id for message in first.messages] + await slow.read(call)
        assert sorted(ids) == sorted(f"m{index}" for index in range(HEAVY))
    await settled(held)
    await slow.channel.close()


async def test_too_much_of_one_group_is_refused_and_others_go_on(start: Start, backlogs: list[Backlog]) -> None:
    renderer = await prepared(start, render_backlog=128 * MIB)
    slow = SlowReader(renderer, "slow")
    calls: list[Any] = []
    refused: grpc.aio.AioRpcError | None = None
    while refused is None and len(calls) < 64:
        calls.append(slow.call())
        try:
            await calls[-1].read()
        except grpc.aio.AioRpcError as exc:
            refused = exc
    assert refused is not None
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_seconds(refused) == 1
    assert len(calls) > 4
    [held] = backlogs
    assert held.bytes < 128 * MIB // 4 + 6 * MIB
    assert codes(await renderer.render({}, inner_template="plain.html", group_id="quick")) == [""]
    for call in calls:
        call.cancel()
    await settled(held)
    assert len(await slow.read(slow.call())) == HEAVY, "the group has its room again"
    await slow.channel.close()


@pytest.mark.parametrize("timeout", [None, 3600])
async def test_a_call_has_a_deadline(start: Start, timeout: float | None) -> None:
    renderer = await start()
    stub: renderer_pb2_grpc.RendererServiceAsyncStub = renderer_pb2_grpc.RendererServiceStub(renderer.channel)
    for call in (
        stub.RenderMessages(renderer_pb2.RenderMessagesRequest(), timeout=timeout),
        stub.PreviewMessages(renderer_pb2.PreviewMessagesRequest(), timeout=timeout),
    ):
        with pytest.raises(grpc.aio.AioRpcError, match="deadline"):
            await call.read()


def retry_seconds(error: grpc.RpcError) -> float | None:
    raised = from_rpc_error(error)
    assert isinstance(raised, ThrottledError)
    return raised.retry_after


async def settled(held: Backlog) -> None:
    """Calls that ended hold nothing any more."""
    async with asyncio.timeout(10):
        while held.bytes:
            await asyncio.sleep(0.01)
