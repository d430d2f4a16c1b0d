"""PreviewMessages and ValidateTemplate by a running renderer."""

from __future__ import annotations

from typing import Any

import grpc
import msgpack
import pytest
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from tests.integration.renderer.rig import Renderer, Start


def stub(renderer: Renderer) -> renderer_pb2_grpc.RendererServiceAsyncStub:
    made: renderer_pb2_grpc.RendererServiceAsyncStub = renderer_pb2_grpc.RendererServiceStub(renderer.channel)
    return made


async def preview(
    renderer: Renderer, *recipients: dict[str, Any], bodies: int = 0, **group: Any
) -> dict[str, renderer_pb2.PreviewedMessage]:
    shared = {"outer_template": "outer.html", "inner_template": "inner.html", "subject_template": "Hi {{ x }}"} | group
    request = renderer_pb2.PreviewMessagesRequest(group=renderer_pb2.GroupContent(**shared), bodies=bodies)
    for index, recipient in enumerate(recipients):
        context = msgpack.packb(recipient.get("context", {}))
        request.messages.add(**({"id": f"m{index}"} | recipient | {"context": context}))
    answers = [each async for chunk in stub(renderer).PreviewMessages(request, timeout=60) for each in chunk.messages]
    assert sorted(each.id for each in answers) == sorted(each.id for each in request.messages)
    return {each.id: each for each in answers}


async def test_a_slice_is_previewed_with_its_files_and_failures(start: Start) -> None:
    renderer = await start()
    renderer.write("terms.txt", b"123")
    pdf = {"name": "a.pdf", "html": "<p>An invoice</p>"}
    answers = await preview(
        renderer,
        {"context": {"x": 1}, "pdf_attachments": [pdf], "stored_attachments": [{"path": "terms.txt"}]},
        {"context": {"x": 2}},
        {"context": {}},
        {"context": {"x": 4}, "stored_attachments": [{"path": "gone.txt"}]},
        bodies=1,
    )
    first = answers["m0"]
    assert (first.subject, first.html.count("<p>1</p>"), first.text) == ("Hi 1", 1, "1")
    assert [(each.name, each.content_type) for each in first.attachments] == [
        ("a.pdf", "application/pdf"),
        ("terms.txt", "text/plain"),
    ]
    assert first.attachments[0].size > 500
    assert first.attachments[1].size == 3
    assert (answers["m1"].html, answers["m1"].HasField("failure")) == ("", False)
    assert answers["m2"].failure.code == "variable_missing"
    assert answers["m3"].failure.code == "attachment_missing"


async def test_a_text_message_is_previewed_as_the_dispatcher_would_send_it(start: Start) -> None:
    renderer = await start(sms_downgrade=True)
    renderer.write("sms.txt", "It’s {{ x }}")
    sms = {"outer_template": "", "subject_template": "", "inner_template": "sms.txt"}
    answers = await preview(renderer, {"context": {"x": "a" * 160}}, bodies=1, **sms)
    assert (answers["m0"].sms.segments, answers["m0"].sms.encoding) == (2, "gsm7")
    assert answers["m0"].text.startswith("It's aaa")


async def test_a_template_that_is_not_there_fails_every_message(start: Start) -> None:
    answers = await preview(await start(), {}, {}, inner_template="gone.html")
    assert [each.failure.code for each in answers.values()] == ["template_missing"] * 2
    assert "gone.html" in answers["m0"].failure.text


async def test_too_large_a_slice_is_refused(start: Start) -> None:
    renderer = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await preview(renderer, *({} for _ in range(501)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_template_is_validated(start: Start) -> None:
    renderer = await start()
    renderer.write("inner.html", "{% extends 'base.html' %}{% block x %}{{ order.id }}{{ first_name }}{% endblock %}")
    renderer.write("base.html", "{{ brand }}{% block x %}{% endblock %}\n{% include 'gone.html' %}")
    answer = await stub(renderer).ValidateTemplate(renderer_pb2.ValidateTemplateRequest(path="inner.html"), timeout=20)
    assert (list(answer.variables), list(answer.given_variables)) == (["brand", "order"], ["first_name"])
    assert [each.path for each in answer.templates] == ["inner.html", "base.html"]
    assert [(each.kind, list(each.names), each.line) for each in answer.templates[0].references] == [
        ("extends", ["base.html"], 1)
    ]
    [error] = answer.errors
    assert (error.code, error.path, error.line) == ("template_missing", "base.html", 2)
    assert "gone.html" in error.text
    request = renderer_pb2.ValidateTemplateRequest(path="inner.html", source="\n{% if x %}")
    [error] = (await stub(renderer).ValidateTemplate(request, timeout=20)).errors
    assert (error.code, error.path, error.line) == ("template_invalid", "inner.html", 2)
    with pytest.raises(grpc.aio.AioRpcError, match="path"):
        await stub(renderer).ValidateTemplate(renderer_pb2.ValidateTemplateRequest(), timeout=20)
