"""Files of the store: typed by name, fetched once."""

from __future__ import annotations

import pytest
from morpheus.renderer.v1 import renderer_pb2

from services.renderer.attachments import StoredFiles, content_type
from services.renderer.failures import RenderError
from services.renderer.frames import Content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pdf", "application/pdf"),
        ("A.PDF", "application/pdf"),
        ("a.png", "image/png"),
        ("a.txt", "text/plain"),
        ("a.ics", "text/calendar"),
        ("a.csv", "text/csv"),
        ("a.tar.gz", "application/gzip"),
        ("a.unknown", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_type_follows_the_name(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_file_is_fetched_once_a_slice() -> None:
    asked: list[str] = []

    def fetch(path: str) -> Content:
        asked.append(path)
        return Content(b"x")

    files = StoredFiles(fetch)
    for _ in range(3):
        files.attachment(renderer_pb2.StoredAttachment(path="a/b.txt"))
    assert asked == ["a/b.txt"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (Content(error="x"), "attachment_missing"),
        (Content(error="x", too_large=True), "message_too_large"),
    ],
)
def test_file_that_cannot_be_had_is_named(content: Content, code: str) -> None:
    with pytest.raises(RenderError, match=r"a/b\.txt") as caught:
        StoredFiles(lambda _: content).attachment(renderer_pb2.StoredAttachment(path="a/b.txt"))
    assert caught.value.code == code
