"""The renderer as it runs: a real server, real worker processes, real files, real PDFs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import struct
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import msgpack
import psutil
import pypdf
import pytest
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.blobs import Blob, FolderStore
from morpheus_kit.errors import InvalidInputError, TemplateChangedError, UnavailableError
from morpheus_kit.lifecycle import Unit
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.server import RpcServer
from morpheus_kit.rpc.status import from_rpc_error
from services.renderer import wire
from services.renderer.app import build
from services.renderer.config import Config

SLOW = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def _png_part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _png_part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _png_part(b"IDAT", zlib.compress(bytes(2)))
    + _png_part(b"IEND", b"")
)


class Renderer:
    """A running service with its template folder and a stub."""

    def __init__(self, unit: Unit, folder: Path, channel: grpc.aio.Channel) -> None:
        self.unit = unit
        self.folder = folder
        self.channel = channel
        self._stub: renderer_pb2_grpc.RendererServiceAsyncStub = renderer_pb2_grpc.RendererServiceStub(channel)

    def write(self, path: str, content: str | bytes) -> None:
        """A file of the template store."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    async def warm(self, *paths: str) -> renderer_pb2.WarmTemplatesResponse:
        """Calls WarmTemplates."""
        return await self._stub.WarmTemplates(renderer_pb2.WarmTemplatesRequest(paths=paths), timeout=20)

    async def render(self, *recipients: dict[str, Any], **group: Any) -> list[renderer_pb2.RenderedMessage]:
        """Calls RenderMessages; answers in the order of the recipients, each exactly once."""
        return [message for chunk in await self.chunks(*recipients, **group) for message in chunk.messages]

    async def chunks(self, *recipients: dict[str, Any], **group: Any) -> list[renderer_pb2.RenderMessagesResponse]:
        """The same, as they came."""
        shared = {"outer_template": "outer.html", "inner_template": "inner.html", "subject_template": "Hi"} | group
        request = renderer_pb2.RenderMessagesRequest(group=renderer_pb2.GroupContent(**shared))
        for index, recipient in enumerate(recipients):
            fields = {"id": f"m{index}"} | recipient
            if "context" in fields:
                fields["context"] = msgpack.packb(fields["context"])
            request.messages.add(**fields)
        chunks = [chunk async for chunk in self._stub.RenderMessages(request, timeout=60)]
        ids = [message.id for chunk in chunks for message in chunk.messages]
        assert sorted(ids) == sorted(message.id for message in request.messages)
        return chunks

    def workers(self) -> list[psutil.Process]:
        """Worker processes of this service."""
        found = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                if str(self.folder.parent) in " ".join(child.cmdline()):
                    found.append(child)
        return found


Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts renderers."""
    stops: list[tuple[asyncio.Event, asyncio.Task[None], grpc.aio.Channel]] = []

    async def call(**settings: Any) -> Renderer:
        folder = tmp_path / "templates"
        folder.mkdir(exist_ok=True)
        defaults = {"render_workers": 1, "template_cache": str(tmp_path / "cache"), "templates_url": folder.as_uri()}
        unit = build(Config(renderer_addr="127.0.0.1:0", **(defaults | settings)))
        server = next(part for part in unit.parts if isinstance(part, RpcServer))
        stopping = asyncio.Event()
        task = asyncio.create_task(unit.serve(stopping))
        while not server.port and not task.done():
            await asyncio.sleep(0.01)
        channel = open_channel(f"127.0.0.1:{server.port}")
        stops.append((stopping, task, channel))
        renderer = Renderer(unit, folder, channel)
        renderer.write("outer.html", "<main>{{ content }}</main>")
        renderer.write("inner.html", "<p>{{ x }}</p>")
        return renderer

    yield call
    for stopping, task, channel in stops:
        await channel.close()
        stopping.set()
        await task
    assert not list((tmp_path / "cache").glob("*")), "the cache folder is left behind"


def codes(answers: list[renderer_pb2.RenderedMessage]) -> list[str]:
    return [answer.failure.code for answer in answers]


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


async def test_message_past_its_deadline_fails_alone_and_its_worker_is_replaced(start: Start) -> None:
    renderer = await start(render_timeout=0.4)
    renderer.write("inner.html", "{% if bomb %}" + SLOW + "{% endif %}{{ x }}")
    before = renderer.workers()
    recipients = [{"context": {"x": n, "bomb": n in {3, 9}}} for n in range(12)]
    answers = await renderer.render(*recipients)
    assert {answer.id for answer in answers if answer.failure.code == "render_timeout"} == {"m3", "m9"}
    assert sum(not answer.HasField("failure") for answer in answers) == 10
    [answer] = await renderer.render({"context": {"x": 1, "bomb": False}})
    assert answer.text == "1"
    assert {worker.pid for worker in renderer.workers()}.isdisjoint(worker.pid for worker in before)
    assert len(renderer.workers()) == 1


async def test_template_that_never_ends_does_not_hold_up_a_whole_slice(start: Start) -> None:
    renderer = await start(render_timeout=0.3)
    renderer.write("inner.html", SLOW)
    started = time.monotonic()
    answers = await renderer.render(*[{}] * 100)
    assert set(codes(answers)) == {"render_timeout"}
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("source", ["{{ 'a'|center(2000000000) }}", "{{ '%999999999d' % 1 }}"])
async def test_memory_bomb_fails_its_message_only(start: Start, source: str) -> None:
    renderer = await start(render_memory=512 * 1024 * 1024)
    renderer.write("inner.html", "{% if bomb %}" + source + source + "{% endif %}{{ x }}")
    answers = await renderer.render(*[{"context": {"x": n, "bomb": n == 1}} for n in range(3)])
    assert codes(sorted(answers, key=lambda answer: answer.id)) == ["", "render_failed", ""]


async def test_message_that_crashes_its_worker_fails_alone(start: Start) -> None:
    renderer = await start(render_timeout=30)
    # A tree this deep is more than the stack of the library that inlines CSS holds.
    renderer.write("outer.html", "<style>p{margin:0}</style>{{ content }}")
    renderer.write("inner.html", "{% for i in range(depth) %}<div>{% endfor %}x")
    answers = await renderer.render(*[{"context": {"depth": 14_000 if n == 2 else 1}} for n in range(4)])
    by_id = sorted(answers, key=lambda answer: answer.id)
    assert codes(by_id) == ["", "", "render_failed", ""]
    assert "ended the worker" in by_id[2].failure.text


async def test_killed_workers_cost_no_message(start: Start) -> None:
    renderer = await start(render_workers=2)
    versions = (await renderer.warm("outer.html", "inner.html")).versions
    killed: set[int] = set()

    async def kill() -> None:
        while len(killed) < 3:
            await asyncio.sleep(0.2)
            # A worker that has just been started is let live, else none would ever be.
            for worker in [worker for worker in renderer.workers() if time.time() - worker.create_time() > 3]:
                worker.kill()
                killed.add(worker.pid)

    killing = asyncio.create_task(kill())
    while not killing.done():
        answers = await renderer.render(*[{"context": {"x": "y" * 300}}] * 500, versions=versions)
        assert set(codes(answers)) == {""}
    await killing


async def test_call_that_is_given_up_frees_its_worker(start: Start) -> None:
    renderer = await start(render_timeout=30)
    renderer.write("slow.html", SLOW)
    call = asyncio.create_task(renderer.render({}, inner_template="slow.html"))
    await asyncio.sleep(1)
    call.cancel()
    [answer] = await renderer.render({"context": {"x": 1}})
    assert answer.text == "1"


async def test_chunks_are_about_a_mebibyte(start: Start) -> None:
    renderer = await start()
    chunks = await renderer.chunks(*[{"context": {"x": "y" * 40_000}}] * 60)
    assert len(chunks) > 1
    assert all(chunk.ByteSize() < 1_100_000 for chunk in chunks)
    assert len(await renderer.chunks(*[{"context": {"x": 1}}] * 500)) == 1
    [large] = await renderer.chunks({"context": {"x": "y" * 3_000_000}})
    assert large.ByteSize() > 6_000_000


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


async def test_pdf_shows_its_html_and_files_of_the_store(start: Start) -> None:
    renderer = await start(render_timeout=20)
    renderer.write("img/dot.png", PIXEL)
    renderer.write("css/print.css", "@import 'more.css'; p { color: red }")
    renderer.write("css/more.css", "p::after { content: ' styled' }")
    html = (
        "<link rel=stylesheet href='css/print.css'><p>Invoice 0</p><img src=img/dot.png?v=1>"
        f"<img src='data:image/png;base64,{base64.b64encode(PIXEL).decode()}'>"
    )
    pdfs = [
        {"name": "a.pdf", "html": html.replace("0</p>", "1</p>")},
        {"name": "b.pdf", "html": html.replace("0</p>", "2</p>")},
    ]
    first, second = await renderer.render(
        {"context": {"x": 1}, "pdf_attachments": pdfs, "stored_attachments": [{"path": "img/dot.png"}]},
        {"context": {"x": 2}, "pdf_attachments": pdfs[:1]},
    )
    assert [(a.name, a.content_type) for a in first.attachments] == [
        ("a.pdf", "application/pdf"),
        ("b.pdf", "application/pdf"),
        ("dot.png", "image/png"),
    ]
    texts = [pypdf.PdfReader(io.BytesIO(a.content)).pages[0].extract_text() for a in first.attachments[:2]]
    assert [text.strip() for text in texts] == ["Invoice 1 styled", "Invoice 2 styled"]
    assert second.attachments[0].content == first.attachments[0].content
    assert first.attachments[2].content == PIXEL


def svg(inside: str) -> str:
    """A document with a drawing in it."""
    return f"<svg width=9 height=9 xmlns='http://www.w3.org/2000/svg'>{inside}</svg>"


def drawn(source: str) -> str:
    """A document with an image that is a drawing of its own."""
    return f"<img src='data:image/svg+xml;base64,{base64.b64encode(source.encode()).decode()}'>"


SECRET = "http://127.0.0.1:9/secret"
# (what the document says, what the reason names)
UNREACHABLE = [
    ("<img src=gone.png>", "gone.png"),
    ("<img src=broken.png>", "broken.png"),
    ("<img src=../secret.png>", "secret.png"),
    ("<img src=%2e%2e/secret.png>", "secret.png"),
    ("<img src=a/%2e%2e/%2e%2e/secret.png>", "secret.png"),
    ("<img src=..%2fsecret.png>", "secret.png"),
    ("<img src=..%5csecret.png>", "secret.png"),
    ("<img src=a%00.png>", "a"),
    ("<img src=/secret.png>", "secret.png"),
    ("<img src=%2fetc/passwd>", "/etc/passwd"),
    ("<img src=link.png>", "link.png"),
    ("<img src=http://127.0.0.1:9/x.png>", "http://127.0.0.1:9"),
    ("<img src=HTTP://127.0.0.1:9/x.png>", "127.0.0.1:9"),
    ("<img src=https://127.0.0.1:9/x.png>", "https://127.0.0.1:9"),
    ("<img src=//127.0.0.1:9/x.png>", "http://127.0.0.1:9"),
    ("<img src='\\\\127.0.0.1\\x.png'>", "127.0.0.1"),
    ("<img src=http://[::1]:9/x.png>", "http://[::1]:9"),
    ("<img src=http://2130706433:9/x.png>", "http://2130706433:9"),
    ("<img src=http://0x7f.1:9/x.png>", "http://0x7f.1:9"),
    ("<img src=http://169.254.169.254/latest/meta-data/>", "http://169.254.169.254"),
    ("<img src=http://template-store.invalid.example.org/root/x.png>", "template-store.invalid.example.org"),
    ("<img src=http://user@template-store.invalid@127.0.0.1:9/root/x>", "127.0.0.1"),
    ("<img src=http://template-store.invalid/x.png>", "x.png"),
    ("<img src=file:///etc/passwd>", "file:///etc/passwd"),
    ("<img src=FILE:/etc/passwd>", "/etc/passwd"),
    ("<img src=ftp://127.0.0.1:9/x.png>", "ftp://127.0.0.1:9"),
    ("<img src=gopher://127.0.0.1:9/x>", "gopher://127.0.0.1:9"),
    ("<img src='jar:http://127.0.0.1:9/x!/y'>", "jar:http"),
    ("<img src='javascript:alert(1)'>", "javascript:"),
    ("<img src=s3://foreign/x.png>", "s3://foreign"),
    ("<img src=s3:%2f%2fforeign/x.png>", "foreign"),
    (f"<base href={SECRET}/><img src=x.png>", SECRET),
    ("<link rel=stylesheet href=gone.css>", "gone.css"),
    (f"<link rel=stylesheet href={SECRET}>", SECRET),
    ("<style>@import 'https://127.0.0.1:9/x.css'</style>", "https://127.0.0.1:9"),
    (f"<style>@import url({SECRET});</style>", SECRET),
    (f"<style>p {{ background: url({SECRET}) }}</style><p>a", SECRET),
    (f"<style>li {{ list-style-image: url({SECRET}) }}</style><ul><li>a</ul>", SECRET),
    (f"<style>p::before {{ content: url({SECRET}) }}</style><p>a", SECRET),
    (f"<p style='border-image: url({SECRET}) 1'>a", SECRET),
    ("<style>@font-face { font-family: x; src: url(gone.woff) } p { font-family: x }</style><p>a", "gone.woff"),
    (f"<style>@font-face {{ font-family: x; src: url({SECRET}) }} p {{ font-family: x }}</style><p>a", SECRET),
    ("<link rel=attachment href=file:///etc/passwd>", "file:///etc/passwd"),
    (f"<a rel=attachment href={SECRET}>a</a>", SECRET),
    (f"<object data={SECRET}></object>", SECRET),
    ("<object data=gone.svg></object>", "gone.svg"),
    (f"<embed src={SECRET}>", SECRET),
    (svg("<image width=5 height=5 href='file:///etc/passwd'/>"), "file:///etc/passwd"),
    (svg(f"<image width=5 height=5 xlink:href='{SECRET}'/>"), SECRET),
    (svg("<image width=5 height=5 href='gone.png'/>"), "gone.png"),
    (drawn(svg(f"<image width='5' height='5' href='{SECRET}'/>").replace("=9", "='9'")), SECRET),
    (
        drawn(
            "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><svg xmlns='http://www.w3.org/2000/svg'>&e;</svg>"
        ),
        "",
    ),
]
# What WeasyPrint never fetches: the document comes without it.
IGNORED = [
    f"<iframe src={SECRET}></iframe>",
    f"<script src={SECRET}></script>",
    f"<video src={SECRET} poster={SECRET}></video>",
    f"<meta http-equiv=refresh content='0;url={SECRET}'>",
    f"<a href={SECRET}>a</a>",
    f"<img srcset='{SECRET} 2x' alt=a>",
]


async def test_pdf_without_all_that_it_shows_fails_its_message(start: Start) -> None:
    renderer = await start(render_timeout=20)
    renderer.write("broken.png", b"not an image")
    (renderer.folder.parent / "secret.png").write_bytes(PIXEL)
    (renderer.folder / "link.png").symlink_to(renderer.folder.parent / "secret.png")
    good: dict[str, Any] = {"context": {"x": 1}}
    bad = [good | {"pdf_attachments": [{"name": "bill.pdf", "html": html}]} for html, _ in UNREACHABLE]
    *failed, last = await renderer.render(*bad, good)
    for answer, (html, word) in zip(failed, UNREACHABLE, strict=True):
        assert answer.failure.code == "pdf_failed", html
        assert "bill.pdf" in answer.failure.text
        assert word in answer.failure.text, html
        assert not answer.attachments
    assert not last.HasField("failure")


async def test_what_pdfs_never_fetch_is_not_fetched(start: Start) -> None:
    """The listener would hear it."""
    renderer = await start(render_timeout=20)
    heard: list[object] = []

    def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer)
        writer.close()

    listener = await asyncio.start_server(hear, "127.0.0.1", 0)
    there = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    pdfs = [html.replace("127.0.0.1:9", there) for html in IGNORED + [html for html, _ in UNREACHABLE]]
    answers = await renderer.render(
        *[{"context": {"x": 1}, "pdf_attachments": [{"name": "a.pdf", "html": html}]} for html in pdfs]
    )
    listener.close()
    assert not heard
    assert codes(answers)[: len(IGNORED)] == [""] * len(IGNORED)


async def test_pdf_of_too_many_pages_fails_its_message(start: Start) -> None:
    renderer = await start(render_timeout=20, pdf_pages=3)
    pages = "<p style='break-after: page'>a</p>"
    pdfs = [{"name": f"{count}.pdf", "html": pages * count + "z"} for count in (2, 3)]
    answers = await renderer.render(*[{"context": {"x": 1}, "pdf_attachments": [pdf]} for pdf in pdfs])
    assert [answer.failure.text for answer in answers] == [
        "",
        "PDF '3.pdf': it has more than 3 pages",
    ]


async def test_same_pdf_is_made_once_for_all_workers_and_slices(start: Start) -> None:
    renderer = await start(render_workers=2, render_timeout=20)
    renderer.write("dot.png", PIXEL)
    recipients = [
        {"context": {"x": n}, "pdf_attachments": [{"name": "a.pdf", "html": "<img src=dot.png>same"}]} for n in range(9)
    ]
    slices = await asyncio.gather(*[renderer.render(*recipients, group_id="g") for _ in range(2)])
    contents = {answer.attachments[0].content for answers in slices for answer in answers}
    assert len(contents) == 1
    [made] = (renderer.folder.parent / "cache").glob("*/pdfs/*")
    first = made.stat().st_ino
    await renderer.render(*recipients, group_id="h")
    assert made.stat().st_ino == first
    renderer.write("dot.png", PIXEL + b"changed")
    await renderer.render(*recipients, group_id="i")
    assert made.stat().st_ino != first


async def test_worker_that_holds_too_much_memory_is_replaced_between_slices(start: Start) -> None:
    renderer = await start(render_recycle=128 * 1024**2)
    renderer.write("inner.html", "{{ ('x' * 1000) * (n * 1000) }}".replace("(n * 1000)", "n"))
    before = renderer.workers()
    await renderer.render({"context": {"n": 1}})
    assert renderer.workers() == before
    answers = await renderer.render(*[{"context": {"n": 900}}] * 100)
    assert set(codes(answers)) == {""}
    [answer] = await renderer.render({"context": {"n": 1}})
    assert len(answer.text) == 1000
    assert renderer.workers() != before


async def test_attachments_out_of_the_store_are_refused(start: Start) -> None:
    renderer = await start(max_message=1_000)
    (renderer.folder / "link").symlink_to("/etc/passwd")
    renderer.write("big.bin", bytes(2_000))
    paths = ["../x", "/etc/passwd", "link", "gone", "big.bin"]
    answers = await renderer.render(*[{"context": {"x": 1}, "stored_attachments": [{"path": p}]} for p in paths])
    assert codes(answers) == ["attachment_missing"] * 4 + ["message_too_large"]
    assert all(path in answer.failure.text for path, answer in zip(paths, answers, strict=True))


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


async def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    program = "import sys; from services.renderer.__main__ import *"
    environment = os.environ | {
        "MORPHEUS_TEMPLATES_URL": tmp_path.as_uri(),
        "MORPHEUS_TEMPLATE_CACHE": str(tmp_path / "cache"),
        "MORPHEUS_RENDERER_ADDR": "127.0.0.1:0",
        "MORPHEUS_RENDER_WORKERS": "2",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    while b"service_started" not in await process.stderr.readline():
        pass
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.kill()
    await process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=5)
    assert not alive
