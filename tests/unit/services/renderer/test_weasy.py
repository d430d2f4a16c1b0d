"""Limits that WeasyPrint itself does not have."""

from __future__ import annotations

import logging

import pytest

from services.renderer import weasy
from services.renderer.attachments import StoredFiles
from services.renderer.failures import RenderError
from services.renderer.frames import Content


class Pages(logging.Handler):
    """Which pages were begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "Page %d" in str(record.msg) and isinstance(record.args, tuple):
            self.begun.append(int(str(record.args[0])))


def test_document_ends_at_the_first_page_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages()
    monkeypatch.setattr(weasy._progress, "handlers", [pages, *weasy._progress.handlers])
    files = StoredFiles(lambda path: Content(error="gone"))
    page = "<p style='break-after: page'>a</p>"
    content, shown = weasy.write_pdf(page * 2 + "z", files, 3)
    assert content.startswith(b"%PDF")
    assert shown == set()
    pages.begun.clear()
    with pytest.raises(RenderError, match="it has more than 3 pages"):
        weasy.write_pdf(page * 50, files, 3)
    assert pages.begun == [1, 2, 3, 4]
