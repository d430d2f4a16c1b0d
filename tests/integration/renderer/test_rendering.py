"""The renderer as it runs: a real server, real worker processes, real files."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.blobs import Blob, FolderStore
from morpheus_kit.errors import InvalidInputError, TemplateChangedError, UnavailableError
from morpheus_kit.rpc.status import from_rpc_error
from services.renderer import wire
from tests.integration.renderer.rig import Start, codes


async def test_slice_is_rendered_with_pinned_versions(start: Start) -> None:
    renderer = await start()
    warmed = await renderer.warm("outer.html", "inner.html")
    assert not warmed.HasField("failure")
    answers = await renderer.render(
        {"context": {"x": 1}, "first_name": "Ann"}, {"context": {"x": 2}}, versions=warmed.versions
    )
    assert [answer.html for answer in answers] == ["<main><p>1</p></main>", "<main><p>2</p></main>"]
    assert [(answer.subject, answer.text) for answer in answers] == [("Hi", "1"), ("Hi", "2")]


async def test_versions_cover_all_that_templates_use(start: Start) -> None:
    renderer = await start()
    renderer.write("deep/base.html", "{% block b %}{% endblock %}")
    renderer.write("outer.html", "{% extends 'deep/base.html' %}{% block b %}{{ content }}{% endblock %}")
    renderer.write("inner.html", "{% include ['no.html', 'foot.html'] %}{% include 'never.html' ignore missing %}")
    renderer.write("foot.html", "foot {{ x }}{% include 'inner2.html' %}")
    renderer.write("inner2.html", "!{% if false %}{% include 'foot.html' %}{% endif %}")
    versions = (await renderer.warm("outer.html", "inner.html")).versions
    assert sorted(versions) == ["deep/base.html", "foot.html", "inner.html", "inner2.html", "outer.html"]
    [answer] = await renderer.render({"context": {"x": 1}}, versions=versions)
    assert answer.html == "foot 1!"


async def test_variants_for_locales_and_texts_beside_are_pinned_too(start: Start) -> None:
    renderer = await start()
    renderer.write("inner.html", "hello")
    renderer.write("inner.de.html", "{% include 'foot.html' %}hallo")
    renderer.write("inner.de.txt", "HALLO")
    renderer.write("foot.html", "!")
    renderer.write("inner.bak.old.html", "{% if %}")
    versions = (await renderer.warm("outer.html", "inner.html")).versions
    assert sorted(versions) == ["foot.html", "inner.de.html", "inner.de.txt", "inner.html", "outer.html"]
    renderer.write("inner.fr.html", "too late for this group")
    recipients = [{"context": {"locale": locale}} for locale in ("de-AT", "en", "fr")]
    answers = await renderer.render(*recipients, versions=versions)
    assert [answer.text for answer in answers] == ["HALLO", "hello", "hello"]
    renderer.write("inner.de.html", "{{ ")
    assert "inner.de.html, line 1" in (await renderer.warm("outer.html", "inner.html")).failure.text


async def test_edited_template_is_seen_by_the_next_group_only(start: Start) -> None:
    renderer = await start()
    renderer.write("inner.html", "{% include 'foot.html' %}")
    renderer.write("foot.html", "old")
    first = (await renderer.warm("outer.html", "inner.html")).versions
    renderer.write("foot.html", "new")
    second = (await renderer.warm("outer.html", "inner.html")).versions
    for versions, text in ((first, "old"), (second, "new"), (first, "old")):
        [answer] = await renderer.render({}, versions=versions)
        assert answer.text == text


async def test_version_that_is_gone_fails_the_call(start: Start) -> None:
    renderer = await start()
    versions = dict((await renderer.warm("outer.html", "inner.html")).versions)
    restarted = await start()  # its cache is fresh
    restarted.write("inner.html", "edited")
    for changed in (versions, versions | {"inner.html": "0" * 64}, versions | {"inner.html": "../../x"}):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await restarted.render({}, versions=changed)
        error = from_rpc_error(caught.value)
        assert isinstance(error, TemplateChangedError)
        assert "inner.html" in error.message


async def test_present_content_of_a_pinned_version_is_good_after_a_restart(start: Start) -> None:
    versions = (await (await start()).warm("outer.html", "inner.html")).versions
    [answer] = await (await start()).render({"context": {"x": 1}}, versions=versions)
    assert answer.text == "1"


@pytest.mark.parametrize(
    ("inner", "code", "words"),
    [
        (None, "template_missing", ["inner.html"]),
        ("{% include 'foot.html' %}", "template_missing", ["foot.html", "inner.html"]),
        ("{% extends ['a', 'b'] %}", "template_missing", ["a or b"]),
        ("\n{% if %}", "template_invalid", ["inner.html, line 2"]),
        ("{% include x %}", "template_invalid", ["inner.html, line 1", "literal"]),
        ("{% include '../outer.html' %}", "template_invalid", ["../outer.html"]),
        ("x" * 2_000_000, "template_invalid", ["inner.html", "larger"]),
    ],
)
async def test_unusable_template_is_an_answer_with_its_name(
    start: Start, inner: str | None, code: str, words: list[str]
) -> None:
    renderer = await start()
    (renderer.folder / "inner.html").unlink()
    if inner is not None:
        renderer.write("inner.html", inner)
    warmed = await renderer.warm("outer.html", "inner.html")
    assert (warmed.failure.code, dict(warmed.versions)) == (code, {})
    assert all(word in warmed.failure.text for word in words), warmed.failure.text
    answers = await renderer.render({}, {})
    assert codes(answers) == [code, code]


async def test_recipient_without_variable_fails_alone(start: Start) -> None:
    renderer = await start()
    answers = await renderer.render({"context": {"x": 1}}, {}, {"context": {"x": 3}})
    assert codes(answers) == ["", "variable_missing", ""]
    assert answers[1].failure.text == "inner.html, line 1: variable 'x' is missing"


async def test_chunks_are_about_a_mebibyte(start: Start) -> None:
    renderer = await start()
    chunks = await renderer.chunks(*[{"context": {"x": "y" * 40_000}}] * 60)
    assert len(chunks) > 1
    assert all(chunk.ByteSize() < 1_100_000 for chunk in chunks)
    assert len(await renderer.chunks(*[{"context": {"x": 1}}] * 500)) == 1
    [large] = await renderer.chunks({"context": {"x": "y" * 3_000_000}})
    assert large.ByteSize() > 6_000_000


async def test_large_messages_do_not_fail_for_those_beside_them(start: Start) -> None:
    """Each needs little of what a worker may have, all together more than that."""
    renderer = await start(render_memory=256 * 1024**2, render_timeout=20)
    renderer.write("large.txt", "{{ ('x' * 1000) * 1000 }}" * 6)
    renderer.write("terms.bin", bytes(6_000_000))
    sms: dict[str, Any] = {"outer_template": "", "subject_template": ""}
    answers = await renderer.render(*[{}] * 20, **sms, inner_template="large.txt")
    assert codes(answers) == [""] * 20
    recipient = {"context": {"x": 1}, "stored_attachments": [{"path": "terms.bin"}]}
    assert codes(await renderer.render(*[recipient] * 20)) == [""] * 20


async def test_message_may_have_what_is_allowed_and_no_byte_more(start: Start) -> None:
    renderer = await start(max_message=25_000_000, render_timeout=20)
    renderer.write("half.bin", bytes(12_400_000))
    for name, size in (("fits.bin", 199_900), ("large.bin", 200_001)):
        renderer.write(name, bytes(size))
    paths = [["half.bin", "half.bin", name] for name in ("fits.bin", "large.bin")] + [["fits.bin"]]
    answers = await renderer.render(
        *[{"context": {"x": 1}, "stored_attachments": [{"path": path} for path in each]} for each in paths]
    )
    assert codes(answers) == ["", "message_too_large", ""]
    assert "more than 25000000 bytes" in answers[1].failure.text
    assert sum(len(attachment.content) for attachment in answers[0].attachments) == 24_999_900


async def test_more_than_a_slice_is_refused(start: Start) -> None:
    renderer = await start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await renderer.render(*[{}] * 501)
    assert isinstance(from_rpc_error(caught.value), InvalidInputError)
    with pytest.raises(grpc.aio.AioRpcError):
        await renderer.warm()


async def test_bytes_that_are_no_messages_are_refused_and_cost_no_worker(start: Start) -> None:
    renderer = await start()
    before = renderer.workers()
    method = renderer.channel.unary_stream("/morpheus.renderer.v1.RendererService/RenderMessages")
    group = renderer_pb2.GroupContent(outer_template="outer.html", inner_template="inner.html").SerializeToString()
    for request in (b"no protobuf", wire.join(b"\xff", []), wire.join(group, [b"\x0a\xff"])):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in method(request, timeout=20):
                pass
        assert isinstance(from_rpc_error(caught.value), InvalidInputError)
    assert renderer.workers() == before


async def test_attachments_out_of_the_store_are_refused(start: Start) -> None:
    renderer = await start(max_message=1_000)
    (renderer.folder / "link").symlink_to("/etc/passwd")
    renderer.write("big.bin", bytes(2_000))
    paths = ["../x", "/etc/passwd", "link", "gone", "big.bin"]
    answers = await renderer.render(*[{"context": {"x": 1}, "stored_attachments": [{"path": p}]} for p in paths])
    assert codes(answers) == ["attachment_missing"] * 4 + ["message_too_large"]
    assert all(path in answer.failure.text for path, answer in zip(paths, answers, strict=True))


async def test_shared_attachment_is_read_once_for_all_slices_and_workers_of_a_group(
    start: Start, read: Counter[str]
) -> None:
    renderer = await start(render_workers=2)
    renderer.write("terms.txt", "terms")
    recipient = {"context": {"x": 1}, "stored_attachments": [{"path": "terms.txt"}]}
    parts = await asyncio.gather(*[renderer.render(*[recipient] * 20, group_id="g") for _ in range(4)])
    assert [attachment.content for part in parts for answer in part for attachment in answer.attachments] == [
        b"terms"
    ] * 80
    assert read["terms.txt"] == 1
    await renderer.render(recipient, group_id="h")
    assert read["terms.txt"] == 2


async def test_store_that_is_away_answers_not_now_and_costs_no_worker(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = await start()
    renderer.write("terms.txt", "terms")
    recipients = [{"context": {"x": n}, "stored_attachments": [{"path": "terms.txt"}]} for n in range(3)]
    read = FolderStore.read
    asked = []

    async def away(self: FolderStore, path: str, limit: int, pinned: str = "") -> Blob:
        if path != "terms.txt":
            return await read(self, path, limit, pinned)
        asked.append(path)
        raise UnavailableError("terms.txt cannot be read now.")

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "read", away)
        before = renderer.workers()
        with pytest.raises(grpc.RpcError) as caught:
            await renderer.render(*recipients)
    assert isinstance(from_rpc_error(caught.value), UnavailableError)
    assert renderer.workers() == before
    assert len(asked) == 1
    assert codes(await renderer.render(*recipients)) == [""] * 3


async def test_sms_is_text(start: Start) -> None:
    renderer = await start()
    renderer.write("sms.txt", "Hi {{ first_name }} & {{ x }}")
    [answer] = await renderer.render(
        {"first_name": "<Ann>", "context": {"x": 1}}, outer_template="", subject_template="", inner_template="sms.txt"
    )
    assert (answer.text, answer.html, answer.subject) == ("Hi <Ann> & 1", "", "")
