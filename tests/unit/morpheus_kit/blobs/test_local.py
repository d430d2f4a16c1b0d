"""The folder store: content with its version, and no way out of the folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from morpheus_kit.blobs import FolderStore, open_store
from morpheus_kit.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError

LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.html").write_bytes(b"hello")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-neighbour").mkdir()
    (tmp_path / "root-neighbour" / "x").write_bytes(b"secret")
    return folder


async def test_file_has_the_hash_of_its_content_as_version(root: Path) -> None:
    blob = await FolderStore(root).read("a/b.html", LIMIT)
    assert (blob.content, blob.version) == (b"hello", hashlib.sha256(b"hello").hexdigest())


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a/b.html",
        "../secret",
        "a/../../secret",
        "..",
        "a/..",
        "a\\b.html",
        "a/b.html\0",
        "/etc/passwd",
        "a/b.html/",
        "a//b.html",
        "./a",
    ],
)
async def test_path_out_of_the_root_is_refused(root: Path, path: str) -> None:
    with pytest.raises(InvalidInputError):
        await FolderStore(root).read(path, LIMIT)


async def test_links_stay_inside(root: Path) -> None:
    (root / "inside").symlink_to("a/b.html")
    (root / "outside").symlink_to("../secret")
    (root / "neighbour").symlink_to("../root-neighbour")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("loop")
    store = FolderStore(root)
    assert (await store.read("inside", LIMIT)).content == b"hello"
    for path in ("outside", "neighbour/x", "absolute"):
        with pytest.raises(InvalidInputError):
            await store.read(path, LIMIT)
    with pytest.raises(NotFoundError):
        await store.read("loop", LIMIT)


@pytest.mark.parametrize("path", ["no.html", "a", "a/b.html/c", "x" * 300, "fifo"])
async def test_what_is_no_file_is_not_found(root: Path, path: str) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(NotFoundError):
        await FolderStore(root).read(path, LIMIT)


async def test_file_beyond_the_limit_is_refused_unread(root: Path) -> None:
    store = FolderStore(root)
    assert (await store.read("a/b.html", 5)).content == b"hello"
    with pytest.raises(TooLargeError):
        await store.read("a/b.html", 4)


async def test_root_may_be_a_link_that_moves(root: Path, tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "t").write_bytes(b"new")
    link = tmp_path / "current"
    link.symlink_to(root)
    store = FolderStore(link)
    assert (await store.read("a/b.html", LIMIT)).content == b"hello"
    link.unlink()
    link.symlink_to(tmp_path / "next")
    assert (await store.read("t", LIMIT)).content == b"new"


async def test_check_says_when_there_is_no_root(root: Path, tmp_path: Path) -> None:
    await FolderStore(root).check()
    with pytest.raises(UnavailableError, match="gone"):
        await FolderStore(tmp_path / "gone").check()


async def test_url_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "t").write_bytes(b"x")
    assert (await open_store(folder.as_uri()).read("t", LIMIT)).content == b"x"


@pytest.mark.parametrize("url", ["file://host/x", "file:relative", "/x", ""])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file://"):
        open_store(url)


async def test_files_that_begin_so_are_listed_without_folders_or_deeper_ones(root: Path) -> None:
    for name in ("w.de.html", "w.html", "x.html", "w.d/deep.html"):
        (root / "a" / name).parent.mkdir(exist_ok=True)
        (root / "a" / name).touch()
        (root / name.rpartition("/")[2]).touch()
    store = FolderStore(root)
    assert await store.list("a/w.", 2) == ["a/w.de.html", "a/w.html"]
    assert await store.list("w.", 9) == ["w.de.html", "w.html"]
    assert await store.list("gone/w.", 9) == []
    with pytest.raises(TooLargeError):
        await store.list("a/w.", 1)
    with pytest.raises(InvalidInputError):
        await store.list("../", 9)
