"""What a preview says of a message."""

from __future__ import annotations

from typing import Any

import pytest
from morpheus.renderer.v1 import renderer_pb2

from services.renderer.preview import LARGE_HTML, Previewer


def preview(
    *, downgrade: bool = False, sms: bool = False, bodies: bool = True, **fields: Any
) -> renderer_pb2.PreviewedMessage:
    rendered = renderer_pb2.RenderedMessage(id="m", **({"subject": "Hi"} | fields))
    return Previewer(downgrade=downgrade).preview(rendered, text_message=sms, bodies=bodies)


def warnings(answer: renderer_pb2.PreviewedMessage) -> list[str]:
    return [each.code for each in answer.warnings]


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"html": "<a href='https://a.example'>http://in.text</a>"}, []),
        ({"html": '<a HREF = "http://a.example/x">'}, ["http_link"]),
        ({"html": "<img src=http://a.example/x.png>"}, ["http_link"]),
        ({"html": "ä" * (LARGE_HTML // 2)}, []),
        ({"html": "ä" * (LARGE_HTML // 2) + "a"}, ["html_large"]),
        ({"html": "x", "subject": ""}, ["subject_empty"]),
        ({"html": "href=" + " " * 100_000}, []),
    ],
)
def test_what_may_be_read_badly_is_warned_of(fields: dict[str, Any], codes: list[str]) -> None:
    assert warnings(preview(**fields)) == codes


def test_a_link_is_named() -> None:
    assert preview(html='<a href="http://a.example/x?y">').warnings[0].text.endswith("http://a.example/x?y")


def test_bodies_are_there_only_where_they_are_wanted() -> None:
    content: dict[str, Any] = {"html": "<p>x</p>", "text": "x", "attachments": [{"name": "a.pdf", "content": b"12345"}]}
    seen, unseen = preview(**content), preview(bodies=False, **content)
    assert (seen.subject, seen.html, seen.text) == ("Hi", "<p>x</p>", "x")
    assert (unseen.subject, unseen.html, unseen.text) == ("", "", "")
    for answer in (seen, unseen):
        assert [(each.name, each.size) for each in answer.attachments] == [("a.pdf", 5)]
        assert not answer.HasField("sms")


def test_a_text_message_has_segments_as_it_would_go_out() -> None:
    text = "It’s " + "a" * 100
    as_it_is, plain = preview(sms=True, text=text), preview(sms=True, text=text, downgrade=True)
    assert (as_it_is.sms.segments, as_it_is.sms.encoding, warnings(as_it_is)) == (2, "ucs2", ["sms_not_gsm"])
    assert "U+2019 RIGHT SINGLE QUOTATION MARK" in as_it_is.warnings[0].text
    assert (plain.sms.segments, plain.sms.encoding, warnings(plain)) == (1, "gsm7", [])
    assert plain.text.startswith("It's ")


def test_what_could_not_be_sent_is_a_failure() -> None:
    assert preview(sms=True, text="").failure.code == "render_failed"
    failed = preview(failure=renderer_pb2.Failure(code="pdf_failed", text="a.pdf"))
    assert (failed.failure.code, failed.failure.text, failed.subject) == ("pdf_failed", "a.pdf", "")
