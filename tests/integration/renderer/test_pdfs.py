"""Real PDFs: what they show, what they never fetch, and how often one is made."""

from __future__ import annotations

import asyncio
import base64
import io
import random
import re
from typing import Any

import pypdf
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]  # no types published
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]  # no types published

from tests.integration.renderer.rig import PIXEL, Start, codes, png


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


NOISE = png(100, 100, b"".join(b"\0" + random.Random(row).randbytes(300) for row in range(100)))
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


async def test_pdf_of_too_many_pages_or_bytes_fails_its_message(start: Start) -> None:
    renderer = await start(render_timeout=20, pdf_pages=3, pdf_bytes=30_000)
    pages = "<p style='break-after: page'>a</p>"
    pdfs = [{"name": f"{count}.pdf", "html": pages * count + "z"} for count in (2, 3)]
    pdfs.append({"name": "noise.pdf", "html": f"<img src='data:image/png;base64,{base64.b64encode(NOISE).decode()}'>"})
    answers = await renderer.render(*[{"context": {"x": 1}, "pdf_attachments": [pdf]} for pdf in pdfs])
    fits, long, large = (answer.failure.text for answer in answers)
    assert (fits, long) == ("", "PDF '3.pdf': it has more than 3 pages")
    assert re.fullmatch(r"PDF 'noise\.pdf': it has \d{5} bytes, more than 30000", large)


async def test_font_of_one_document_is_not_used_in_others(start: Start) -> None:
    """They share one font configuration on each worker, which knows the machine's fonts only."""
    renderer = await start(render_timeout=20)
    source = f"url(data:font/ttf;base64,{base64.b64encode(own_font()).decode()})"
    face = f"<style>@font-face {{ font-family: 'Own Face'; src: {source} }}</style>"
    text = "<p style=\"font-family: 'Own Face'\">a</p>"
    pages = [text + "1", face + text, text + "2"]
    answers = await renderer.render(
        *[{"context": {"x": 1}, "pdf_attachments": [{"name": "a.pdf", "html": page}]} for page in pages]
    )
    assert ["Own-Face" in fonts(answer.attachments[0].content) for answer in answers] == [False, True, False]


def own_font() -> bytes:
    """A font with one letter."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "a"])
    builder.setupCharacterMap({ord("a"): "a"})
    pen = TTGlyphPen(None)
    for move, point in ((pen.moveTo, (0, 0)), (pen.lineTo, (0, 500)), (pen.lineTo, (500, 0))):
        move(point)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "a": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "a": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Own Face", "styleName": "Regular", "psName": "Own-Face"})
    builder.setupOS2()
    builder.setupPost()
    file = io.BytesIO()
    builder.save(file)
    return file.getvalue()


def fonts(pdf: bytes) -> str:
    """Names of the fonts that a document brings."""
    resources: Any = pypdf.PdfReader(io.BytesIO(pdf)).pages[0]["/Resources"]
    return " ".join(str(font.get_object()["/BaseFont"]) for font in resources["/Font"].values())


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
