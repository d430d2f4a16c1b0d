"""Contracts §1: gRPC callers that come without the gateway."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest
from morpheus.intake.v1 import intake_pb2, intake_pb2_grpc

from morpheus_kit import errors, signing
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.status import from_rpc_error
from tests.contract.stack import SECRET, Stack, pack

CHUNKS = [pack([{"address": "ada@example.com"}]), pack([{"address": "nonsense"}, {"address": "zoe@example.com"}])]


def header(content: bytes, **changes: Any) -> intake_pb2.GroupHeader:
    values = {
        "content_sha256": hashlib.sha256(content).digest(),
        "group_id": "direct-1",
        "company_code": "acme",
        "method": "test",
        "outer_template": "letter.html",
        "inner_template": "order.html",
        "subject_template": "Hi",
        "from_address": "hi@acme.example.com",
        **changes,
    }
    return intake_pb2.GroupHeader(**values)


@pytest.fixture
async def stub(stack: Stack) -> AsyncIterator[intake_pb2_grpc.IntakeServiceAsyncStub]:
    channel = open_channel(stack.intake_address)
    yield intake_pb2_grpc.IntakeServiceStub(channel)
    await channel.close()


async def submit(
    stub: intake_pb2_grpc.IntakeServiceAsyncStub,
    metadata: dict[str, str],
    first: intake_pb2.GroupHeader,
    chunks: Sequence[bytes] = CHUNKS,
) -> intake_pb2.SubmitGroupResponse:
    async def messages() -> AsyncIterator[intake_pb2.SubmitGroupRequest]:
        yield intake_pb2.SubmitGroupRequest(header=first)
        for chunk in chunks:
            yield intake_pb2.SubmitGroupRequest(chunk=intake_pb2.RecipientChunk(recipients=chunk))

    try:
        return await stub.SubmitGroup(messages(), metadata=tuple(metadata.items()), timeout=5)
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc


def signed(stack: Stack, content: bytes = b"".join(CHUNKS), **changes: Any) -> dict[str, str]:
    return stack.sign(content, target=signing.RPC_POST, **changes)


async def test_a_signed_call_is_accepted(stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub) -> None:
    reply = await submit(stub, signed(stack), header(b"".join(CHUNKS)))
    assert (reply.total, reply.accepted, [item.index for item in reply.rejected]) == (3, 2, [1])
    again = await submit(stub, signed(stack, webhook_id="b"), header(b"".join(CHUNKS)))
    assert again.replayed
    assert [item.index for item in again.rejected] == [1]


async def test_the_same_recipients_under_another_header_conflict(
    stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub
) -> None:
    await submit(stub, signed(stack), header(b"".join(CHUNKS)))
    with pytest.raises(errors.ConflictError):
        await submit(stub, signed(stack), header(b"".join(CHUNKS), subject_template="Other"))


async def test_other_recipients_than_the_signed_ones(
    stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub
) -> None:
    with pytest.raises(errors.InvalidInputError, match="content_sha256"):
        await submit(stub, signed(stack), header(b"".join(CHUNKS)), CHUNKS[:1])
    assert await stack.queued() == []


@pytest.mark.parametrize("total", [None, 1, 4])
async def test_a_forwarded_post_that_breaks_off_queues_nothing(
    stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub, total: int | None
) -> None:
    """The requests of a caller that goes away end like those of one that is done."""
    body = b"the body that the gateway has read"
    metadata = {
        **stack.sign(body),
        signing.PAYLOAD_METADATA: signing.payload_of(signing.HTTP_POST, hashlib.sha256(body).digest()),
    }

    async def messages() -> AsyncIterator[intake_pb2.SubmitGroupRequest]:
        yield intake_pb2.SubmitGroupRequest(header=header(body))
        for chunk in CHUNKS:
            yield intake_pb2.SubmitGroupRequest(chunk=intake_pb2.RecipientChunk(recipients=chunk))
        if total is not None:
            yield intake_pb2.SubmitGroupRequest(total=total)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SubmitGroup(messages(), metadata=tuple(metadata.items()), timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await stack.queued() == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-timestamp": "1"},
        {"morpheus-key": "nobody"},
        {"morpheus-payload": "POST /v1/groups 00"},
    ],
)
async def test_calls_that_nobody_signed(
    stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub, metadata: dict[str, str]
) -> None:
    with pytest.raises(errors.UnauthenticatedError):
        await submit(stub, {**signed(stack), **metadata} if metadata else {}, header(b"".join(CHUNKS)))
    assert await stack.queued() == []


async def test_a_posts_signature_is_none_for_a_call(stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub) -> None:
    with pytest.raises(errors.UnauthenticatedError):
        await submit(stub, stack.sign(b"".join(CHUNKS)), header(b"".join(CHUNKS)))


async def test_a_digest_of_the_wrong_length(stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub) -> None:
    with pytest.raises(errors.UnauthenticatedError):
        await submit(stub, signed(stack), header(b"", content_sha256=b"short"))


@pytest.mark.parametrize(
    ("chunks", "path"),
    [
        ([], "recipients"),
        ([pack([{"address": "a@example.com"}] * 501)], "recipients"),
        ([pack([{"address": 5}])], "recipients[0].address"),
        ([pack([{"address": "a@example.com"}]), pack([{"address": "a@example.com", "x": 1}])], "recipients[1].x"),
    ],
)
async def test_chunks_keep_to_the_limits_and_the_shape(
    stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub, chunks: list[bytes], path: str
) -> None:
    content = b"".join(chunks)
    with pytest.raises(errors.InvalidInputError) as caught:
        await submit(stub, signed(stack, content), header(content), chunks)
    assert caught.value.violations[0].path == path


async def test_chunks_that_are_not_msgpack(stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub) -> None:
    with pytest.raises(errors.MalformedError):
        await submit(stub, signed(stack, b"\xc1"), header(b"\xc1"), [b"\xc1"])


async def test_a_hundred_violations_fit_into_the_answer(
    stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub
) -> None:
    files = [{"path": "a", "name": "x/"} for _ in range(100)]
    content = pack([{"address": "a@example.com", "s3_attachments": [{"path": "a"}] * 9_000 + files}])
    with pytest.raises(errors.InvalidInputError) as caught:
        await submit(stub, signed(stack, content), header(content), [content])
    assert len(caught.value.violations) == 100


async def test_an_upload_without_header(stack: Stack, stub: intake_pb2_grpc.IntakeServiceAsyncStub) -> None:
    async def messages() -> AsyncIterator[intake_pb2.SubmitGroupRequest]:
        yield intake_pb2.SubmitGroupRequest(chunk=intake_pb2.RecipientChunk(recipients=CHUNKS[0]))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SubmitGroup(messages(), metadata=tuple(signed(stack).items()), timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_key_of_these_tests_is_a_secret_of_the_scheme() -> None:
    assert len(signing.decode_secret(SECRET)) == 32
