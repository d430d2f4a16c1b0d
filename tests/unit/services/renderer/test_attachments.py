"""Files of the store: typed by name, fetched once."""

from __future__ import annotations

import pytest
from morpheus.renderer.v1 import renderer_pb2

from services.renderer import attachments
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


@pytest.mark.parametrize(
    ("name", "told", "kind"),
    [
        ("a.pdf", "text/html", "application/pdf"),
        ("report", "Application/PDF", "application/octet-stream"),
        ("report", "application/pdf", "application/pdf"),
        ("report", "binary/octet-stream", "application/octet-stream"),
        ("report", "text/plain; x=1\r\nBcc: a", "application/octet-stream"),
    ],
)
def test_type_of_the_store_counts_where_the_name_says_nothing(name: str, told: str, kind: str) -> None:
    files = StoredFiles(lambda _: Content(b"x", content_type=told))
    assert files.attachment(renderer_pb2.StoredAttachment(path="p", name=name)).content_type == kind


def test_files_of_a_slice_are_held_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "KEPT_BYTES", 25)
    asked: list[str] = []

    def fetch(path: str) -> Content:
        asked.append(path)
        return Content(bytes(10))

    files = StoredFiles(fetch)
    for path in "abacab":
        files.get(path)
    assert asked == ["a", "b", "c", "b"]
    assert files._bytes == 20
