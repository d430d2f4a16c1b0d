"""PDFs that were made already: found by document and by what it shows, bounded, made by one at a time."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from services.renderer.attachments import StoredFiles
from services.renderer.failures import RenderError
from services.renderer.frames import Content, Progress
from services.renderer.pdf import SlicePdfs
from services.renderer.pdf_cache import MadePdf, SharedPdfs
from services.renderer.settings import RenderSettings

Made = list[str]


class Weasy:
    """Stands for WeasyPrint: a document shows the store's files that it names."""

    def __init__(self, pages: int = 1) -> None:
        self.made: Made = []

    def write_pdf(self, html: str, files: StoredFiles, most_pages: int) -> tuple[bytes, set[str]]:
        self.made.append(html)
        return b"pdf of " + html.encode(), {html} if html.startswith("img") else set()


@pytest.fixture
def slice_pdfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SlicePdfs]:
    """A slice on one of the workers that share a folder."""

    def make(weasy: Weasy, stored: dict[str, bytes] | None = None, pdf_bytes: int = 1000) -> SlicePdfs:
        stored = stored or {}
        files = StoredFiles(lambda path: Content(stored[path]) if path in stored else Content(error="gone"))
        shared = SharedPdfs(tmp_path / "pdfs", 10_000)
        pdfs = SlicePdfs(files, Progress.create(tmp_path / "progress"), shared, RenderSettings(pdf_bytes=pdf_bytes))
        monkeypatch.setattr(pdfs, "_weasy", lambda: weasy)
        return pdfs

    return make


def test_same_document_is_made_once_for_all_slices(slice_pdfs: Callable[..., SlicePdfs]) -> None:
    weasy = Weasy()
    for _ in range(3):
        pdfs = slice_pdfs(weasy)
        assert [pdfs.get("n", html) for html in ("a", "a", "b")] == [b"pdf of a", b"pdf of a", b"pdf of b"]
    assert weasy.made == ["a", "b"]


def test_document_is_made_again_when_what_it_shows_has_changed_or_is_gone(
    slice_pdfs: Callable[..., SlicePdfs],
) -> None:
    weasy = Weasy()
    for stored in ({"img": b"1"}, {"img": b"1"}, {"img": b"2"}, {}):
        slice_pdfs(weasy, stored).get("n", "img")
    assert weasy.made == ["img"] * 3


def test_too_many_bytes_fail_with_both_numbers(slice_pdfs: Callable[..., SlicePdfs]) -> None:
    with pytest.raises(RenderError, match=r"PDF 'bill\.pdf': it has 8 bytes, more than 7") as caught:
        slice_pdfs(Weasy(), pdf_bytes=7).get("bill.pdf", "a")
    assert caught.value.code == "pdf_failed"


def test_least_used_make_room(tmp_path: Path) -> None:
    shared = SharedPdfs(tmp_path / "pdfs", 400)
    for number, name in enumerate("abc"):
        shared.put(name, MadePdf(bytes(100)))
        os.utime(tmp_path / "pdfs" / name, (number, number))
    assert shared.get("a") is not None
    shared.put("d", MadePdf(bytes(100)))
    assert [shared.get(name) is not None for name in "abcd"] == [True, False, True, True]
    shared.put("e", MadePdf(bytes(1000)))
    assert shared.get("e") is None
    assert shared.get("d") is not None


def test_two_workers_do_not_make_the_same_document_at_once(tmp_path: Path) -> None:
    shared = SharedPdfs(tmp_path / "pdfs", 1000)
    order: list[str] = []

    def second() -> None:
        with shared.alone("k"):
            order.append("second")

    with shared.alone("k"):
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert [path.name for path in (tmp_path / "pdfs").iterdir()] == []


def test_what_a_killed_worker_has_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    shared = SharedPdfs(folder, 1000)
    for left in (".dead", "dead.lock", ".living"):
        (folder / left).write_bytes(b"part")
    with shared.alone("living"):
        shared.put("a", MadePdf(b"a"))
        assert {path.name for path in folder.iterdir()} == {"a", ".living", "living.lock"}


def test_lock_that_was_removed_while_one_waited_for_it_is_taken_anew(tmp_path: Path) -> None:
    shared = SharedPdfs(tmp_path / "pdfs", 1000)
    inside: list[str] = []

    def maker(name: str) -> None:
        with shared.alone("k"):
            assert not inside, "two at once"
            inside.append(name)
            inside.remove(name)

    with shared.alone("k"):
        threads = [threading.Thread(target=maker, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(10)
    assert [path.name for path in (tmp_path / "pdfs").iterdir()] == []


def test_pdf_is_good_when_there_is_no_room_to_keep_it(
    slice_pdfs: Callable[..., SlicePdfs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "no space left")

    pdfs = slice_pdfs(Weasy())
    monkeypatch.setattr(Path, "write_bytes", write)
    assert pdfs.get("n", "a") == b"pdf of a"
    assert list((tmp_path / "pdfs").iterdir()) == []
